# A thin front: tools/setup puts in place what a build needs, Meson builds. Nothing here
# repeats work that is done already, and a second build needs no network.
BUILD = build
PREFIX = /usr/local
# Where ONNX Runtime is, if not where tools/setup looks (a folder with include/ and lib/).
ONNXRUNTIME := $(WS_ONNXRUNTIME)
export WS_ONNXRUNTIME := $(abspath $(ONNXRUNTIME))

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) wattshed

help:
	@echo 'make            the program, at $(BUILD)/wattshed; set-up first where needed'
	@echo 'make demo       one network cut at every natural place, profiled and replayed, in minutes'
	@echo 'make check      every test, plain and sanitized, and the checks of the source'
	@echo 'make bench      the figures of the README, measured here'
	@echo 'make soak       long campaigns: fuzzers, faults, fresh Debian 12 and 13'
	@echo 'make install    into PREFIX=$(PREFIX), under DESTDIR if given'
	@echo 'make clean      removes what was built (and not what was fetched, .deps)'
	@echo 'ONNXRUNTIME=DIR takes the ONNX Runtime in DIR/include and DIR/lib'

setup:
	@tools/setup

# In order: Meson configures only what set-up has put in place.
$(BUILD)/build.ninja: | setup
	@meson setup $(BUILD) --prefix $(abspath $(PREFIX)) -Donnxruntime=$(WS_ONNXRUNTIME)

demo: all
	@tools/demo $(BUILD)/wattshed

bench: all
	@tools/bench $(BUILD)

check:
	@tools/setup check
	@tools/check

soak:
	@tools/setup check
	@tools/soak

install: all
	@meson configure $(BUILD) -Dprefix=$(abspath $(PREFIX))
	@ninja -C $(BUILD) wattshed man
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD) --no-rebuild

clean:
	rm -rf $(BUILD) build-check build-asan build-tsan build-coverage build-fuzz build-fuzz-fast

.PHONY: all help setup demo bench check soak install clean
