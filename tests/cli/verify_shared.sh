#!/bin/bash
# Trained networks with reference outputs, of every shape that cutting has to cope with.
# Usage: verify_shared.sh WATTSHED; skipped where the folder is absent.
set -u
wattshed=$1
data=${WS_SHARED_DATA:-$WS_SOURCE_ROOT/../shared/data}/models
[ -d "$data" ] || { echo "no shared models beside the source"; exit 77; }
# The quick ones of each kind; bench/verify goes through them all.
cd "$data" || exit 1
out=$("$wattshed" verify --quiet --threads 1 mnist_cnn resnet20_cifar10 super_resolution \
    silero_vad squeezenet10_imagenet-external mobilenetv2_uint8_qdq-qlinear \
    mlperftiny_resnet8-int8_qdq mlperftiny_vww-fp32 2>&1) || { echo "$out"; exit 1; }
echo "$out"
cuts=$(sed -n 's/.* \([0-9]*\) interior cuts tried$/\1/p' <<<"$out")
[ "${cuts:-0}" -ge 150 ]
