#!/bin/sh
# install.sh SOURCE TARGET EXTRAS: install Callsheet from a checkout into a virtual environment, in the versions of its
# lock file. The Dockerfile runs it; it writes to TARGET and a temporary folder only.
set -eu

source=$1 target=$2 extras=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The build writes beside its source, which may be read-only.
mkdir "$work/source"
for name in pyproject.toml README.md LICENSE src examples; do cp -R "$source/$name" "$work/source/"; done

# The lock file also names what only developers need. As constraints, it gives versions and adds nothing.
sed -e '/^[[:space:]]/d' -e 's/ \\$//' "$source/requirements.lock" >"$work/constraints.txt"

python3 -m venv "$target"
pip() { "$target/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip wheel --no-deps --wheel-dir "$work/dist" "$work/source"
wheel=$(echo "$work"/dist/callsheet-*.whl)
pip install --constraint "$work/constraints.txt" "$wheel${extras:+[$extras]}"

# The FFmpeg of the wheel, by a path without a version.
ln -s "$("$target/bin/python" -c 'import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())')" "$target/bin/ffmpeg"
install -m 0755 "$source/deploy/docker/healthcheck.py" "$target/bin/healthcheck"
pip uninstall --yes pip
