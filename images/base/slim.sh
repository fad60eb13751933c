#!/bin/sh
# Take out of an environment what no stage ever loads: slim.sh FOLDER (as /opt/venv). About 130 MB of the evaluate image.
set -eu
cd "$1"/lib/python3*/site-packages
# The packages' own tests.
find . -depth -type d -name tests -exec rm -rf {} +
# Of Arrow: headers, and its RPC. Parquet, datasets and S3 stay.
rm -rf pyarrow/include pyarrow/src pyarrow/libarrow_flight.so* pyarrow/libarrow_python_flight.so* pyarrow/_flight.*
# Of PyTorch: its C++ tests, and the programs beside the one that shares memory between processes.
rm -rf torch/test
if [ -d torch/bin ]; then find torch/bin -mindepth 1 -depth ! -name torch_shm_manager -delete; fi
# Of AWS' hundreds of services: all but what S3 and its credentials need.
if [ -d botocore/data ]; then
  find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name 'sso*' ! -name signin -exec rm -rf {} +
fi
