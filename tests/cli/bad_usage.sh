#!/bin/bash
# Wrong usage and bad input: one clear line on stderr, nothing on stdout, and the exit
# status that says which it was. Usage: bad_usage.sh WATTSHED
set -u
wattshed=$1
demo=$WS_SOURCE_ROOT/etc/demo
model=$demo/digits.onnx
failed=0

# expect STATUS WORDS COMMAND ...
expect() {
    local status=$1 words=$2 out err got
    shift 2
    err=$("$wattshed" "$@" 2>&1 >/tmp/ws-usage-$$)
    got=$?
    out=$(cat /tmp/ws-usage-$$)
    rm -f /tmp/ws-usage-$$
    if [ "$got" != "$status" ] || [[ $err != *"$words"* ]] || [ -n "$out" ] ||
        [ "$(wc -l <<<"$err")" != 1 ]; then
        echo "wattshed $*: status $got (expected $status), stdout \"$out\", stderr \"$err\""
        failed=1
    fi
}

expect 2 'no command "fly"' fly
expect 2 'one MODEL is needed' run
expect 2 '--threads: "x" is not a whole number' run --threads x "$model"
expect 2 'no codec "int4"' run --codec int4 "$model"
expect 2 'NAME=VALUE' run --dim 7 "$model"
expect 2 'no value for input "pixels"' run "$model"
expect 1 'has no input "pixel"' run --input pixel=x.npy "$model"
expect 1 'input "pixels" wants UINT8[?,1,96,96]' run "$model" \
    --input "$demo/digits_labels.npy"
expect 1 'No such file' run /nowhere.onnx --input x.npy
expect 2 'inputs are .npy or .pb files' run "$model" --input "$model"
expect 1 'no cut' run "$model" --cut 9999 --input "$demo/test_data_set_0/input_0.pb"
expect 1 'is not natural' run "$model" --cut 3 \
    --input "$demo/test_data_set_0/input_0.pb"
expect 2 'a DIR or MODEL is needed' verify
digits=$WS_SOURCE_ROOT/etc/testbeds/digits-pi4/testbed.json
expect 2 'one TESTBED or STUDY is needed' learn -o /tmp/x.json
expect 2 '-o AGENT is missing' learn "$digits"
expect 2 'expected LO-HI' learn "$digits" -o /tmp/x.json --link 5
expect 2 'expected KNOB=VALUE' learn "$digits" -o /tmp/x.json --fix cut
expect 1 'no knob "cuts"' learn "$digits" -o /tmp/x.json --fix cuts=3
expect 1 'No such file' replay "$digits" --workload "${digits%/*}/workload.csv" \
    --policy dvfo --agent /nowhere.json
expect 2 '--samples FILE is needed' compare "$model"
expect 1 'one label for each sample' compare "$model" \
    --samples "$demo/digits_inputs.npy" --labels "$demo/digits_inputs.npy"
expect 2 'one DIR is needed' share
expect 2 'one of --input, --samples and --records is needed' share "$demo"
expect 2 '--share 1.5 is not between 0 and 1' share --share 0.5,1.5 "$demo"
expect 2 '--maps best: expected importance|random' share --maps best "$demo"
expect 2 '--codec is none, fp16 or int8' share --codec int8c "$demo" --input x.npy
expect 1 "$demo/features.json" share "$demo" --input x.npy
testbed=$WS_SOURCE_ROOT/etc/testbeds/digits-pi4/testbed.json
expect 2 'one testbed or study is needed' plan
expect 2 'no search "clever" among exhaustive, random' plan "$testbed" --search clever
expect 2 '--budget 1.5: expected a share' plan "$testbed" --budget 1.5
expect 2 'expected a name in .svg or .png' plan "$testbed" --plot front.bmp
expect 1 'No such file' plan /nowhere.json
cluster=$WS_SOURCE_ROOT/etc/clusters/mobilenetv2-ncnn.json
expect 2 'one MODEL is needed' profile
expect 2 '-o STUDY is needed' profile "$model"
expect 2 '--node URL is needed' profile "$model" -o /tmp/none.study
expect 2 'one MODEL is needed, or --cluster' profile "$model" --cluster "$cluster" -o x.study
expect 2 '--data X is needed' profile --cluster "$cluster" -o x.study
expect 1 'No such file' profile --cluster /nowhere.json --data x.npy -o x.study
expect 2 'one STUDY is needed' study
expect 2 '--csv, --json or --samples, one of them' study "$testbed" --csv --json
expect 1 'this is no study' study "$testbed"
expect 1 'No such file' study /nowhere.study
expect 2 'one STUDY is needed' report
expect 1 'this is no study' report "$testbed"
expect 2 'FILE.csv, --map and -o are needed' import "$testbed"
expect 2 '--nodes FILE is needed' distribute
expect 2 '--input X is needed' distribute --nodes "$cluster"
expect 2 '--images is for --virtual' distribute --nodes "$cluster" --images 9 --input x.npy
expect 2 '--nodes beside it is for --measure' distribute --nodes "$cluster" --study x.study \
    --input x.npy
expect 1 'No such file' distribute --study /nowhere.study --input x.npy
expect 2 '--virtual needs no --mdns' distribute --nodes "$cluster" --images 9 --virtual --mdns
expect 2 'nobody else can reach 127.0.0.1' node --listen 127.0.0.1:0 --announce x "$model"
expect 2 'no strategy "best"' distribute --strategy best
expect 2 '--min-accuracy 75: expected 0 to 1' distribute --min-accuracy 75
expect 2 '--minimise time: expected accuracy|energy' distribute --minimise time
expect 2 '"5by4" is not like 5x4' distribute --sweep 5by4
expect 2 '"x.npy" is not an option' distribute x.npy
expect 1 'is about model "mobilenet_v2", not digits' distribute --nodes "$cluster" \
    --virtual --images 9 --model digits
expect 1 'least energy is asked for' distribute --nodes "$cluster" --virtual --images 9 \
    --minimise energy
expect 2 'node "nano-gpu" has no url' distribute --nodes "$cluster" \
    --input "$demo/digits_inputs.npy"
expect 1 'format is "wattshed-plan"' distribute --virtual --images 9 \
    --nodes "$WS_SOURCE_ROOT/fuzz/corpus/plan/small.json"
expect 2 '--to HOST:PORT is needed' shape
expect 2 'link_loss: no link has 1' shape --to 127.0.0.1:1 --loss 1
expect 2 '--mbit: "fast" is not a finite number' shape --to 127.0.0.1:1 --mbit fast
expect 2 'is no ADDR:PORT' shape --to nowhere
expect 2 'is reachable from outside' shape --to 127.0.0.1:1 --listen 0.0.0.0:0
expect 1 'No such file' shape --to 127.0.0.1:1 --trace /nowhere.csv
exit $failed
