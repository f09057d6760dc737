#!/bin/sh
# Installs what the code needs into one Python: used by the Makefile, the Dockerfile and anyone without either.
#
#   requirements/install.sh PYTHON [FILE...]      FILE: further requirement files, for example requirements/test.txt
#
# - A torch >= 2.4 that is already there is kept as it is; otherwise torch.txt is installed.
# - Exactly one OpenCV is left: opencv-python-headless. The packages that ask for opencv-python come without their
#   dependencies (no_deps.txt), so `pip check` names opencv-python, numba and imagecorruptions-imaug as missing; the
#   code needs none of them.
# - onedl-mmcv is built in pip's isolated environment, which has no torch: a pure Python package in seconds, no
#   compiler. mmyolo.standins.mmcv supplies the operators.
set -eu

if [ $# -lt 1 ]; then
    echo "usage: $0 PYTHON [requirement file...]" >&2
    exit 2
fi
python=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1

"$python" - <<'EOF'
import sys
if not (3, 10) <= sys.version_info[:2] <= (3, 12):
    sys.exit(f'Python 3.10, 3.11 or 3.12 is needed; {sys.executable} is {sys.version.split()[0]}. '
             'Name another one: make PYTHON=python3.11 ...')
EOF

pip_install() { "$python" -m pip install --quiet --constraint "$here/constraints.txt" "$@"; }

more=
for file in "$@"; do
    more="$more --requirement $file"
done

if "$python" - <<'EOF'
import sys
try:
    import torch
except ImportError:
    sys.exit(1)
sys.exit(tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 4))
EOF
then
    echo "torch: keeping the installed one"
else
    echo "torch: installing $(grep -v '^#' "$here/torch.txt")"
    pip_install --requirement "$here/torch.txt"
fi

echo "packages: installing"
# shellcheck disable=SC2086  # $more is a list of options
pip_install --requirement "$here/runtime.txt" $more
pip_install --no-deps --requirement "$here/no_deps.txt"

# An environment that others filled may hold opencv-python too. Both write the same files, so the headless one has to
# be written again once the other has gone.
if "$python" -m pip show --quiet opencv-python opencv-contrib-python 2>/dev/null; then
    echo "opencv: leaving opencv-python-headless alone"
    "$python" -m pip uninstall --quiet --yes opencv-python opencv-contrib-python
    pip_install --force-reinstall --no-deps opencv-python-headless
fi
