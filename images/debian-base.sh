#!/bin/sh
# A base image from Debian's archive, for hosts that cannot reach a registry: images/debian-base.sh [TAG]
# Needs mmdebstrap and a running Docker engine; takes about a minute. Then: python images/build.py --base TAG
set -eu
tag=${1:-localhost/debian-python:bookworm}
docker=${DOCKER:-docker}
mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates,usr-is-merged \
  --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm - |
  "$docker" import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' \
    --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$tag"
