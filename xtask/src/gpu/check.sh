#!/bin/sh
# Sky's checks of the trainer on a GPU, for a machine without Rust:
#
#     sh check.sh [PYTHON]
#
# PYTHON (default python3) has torch 2.11.0 with CUDA, whose libraries are used, and transformers 5 to be compared with, or none
# and nothing is compared. Exit code 2 without a GPU or that torch, 1 when
# a check fails.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
python=${1:-python3}

gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -n 1)
if [ -z "$gpu" ]; then
    echo "error: there is no GPU here (nvidia-smi finds none): nothing was checked" >&2
    exit 2
fi
libraries=$("$python" -c '
import glob, os, sys
try:
    import torch
except ImportError:
    sys.exit("error: %s has no torch; install torch 2.11.0 with CUDA, or name another Python: sh check.sh PYTHON" % sys.executable)
if torch.__version__.split("+")[0] != "2.11.0" or torch.version.cuda is None:
    sys.exit("error: %s has torch %s (CUDA %s); 2.11.0 with CUDA is needed" % (sys.executable, torch.__version__, torch.version.cuda))
package = os.path.dirname(torch.__file__)
print(":".join([package + "/lib"] + sorted(glob.glob(os.path.dirname(package) + "/nvidia/*/lib"))))
') || exit 2

# The program asks for libnccl.so, the Python package has libnccl.so.2 alone.
links=$(mktemp -d) || exit 1
trap 'rm -rf "$links"' EXIT
for folder in $(echo "$libraries" | tr : ' '); do
    [ ! -e "$folder/libnccl.so.2" ] || ln -sf "$folder/libnccl.so.2" "$links/libnccl.so"
done
libraries="$libraries:$links"

known=$(echo "$gpu" | tr '[:upper:]' '[:lower:]')
case "$known" in
@KNOWN@
    *) known= ;;
esac
[ -z "$known" ] || export SKY_GPU="$known"
export SKY_FIGURES="$links/figures.jsonl"
export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

echo "GPU: $gpu"
table=
failed=0
# Each in a process of its own: GPU memory is not given back within one.
for part in @PARTS@; do
    if "$here/gpu" --ignored --exact --nocapture "$part"; then mark='ok    '; else mark=FAILED; failed=1; fi
    table="$table$mark  $(echo "$part" | tr _ ' ')
"
done
printf '\n%s' "$table"
if [ -s "$SKY_FIGURES" ]; then
    "$python" "$here/figures.py" "$SKY_FIGURES" "$here/peer.py" "$here/shapes" || failed=1
fi
exit $failed
