#!/bin/sh
# Write .env beside docker-compose.yml, with new secrets. An existing file is left alone: the database and the S3 server
# keep the passwords of their first start.
set -eu

cd "$(dirname "$0")/../.."
if [ -e .env ]; then
    echo ".env exists and was left alone" >&2
    exit 1
fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

umask 077
cat >.env <<EOF
POSTGRES_PASSWORD=$(secret)
S3_ACCESS_KEY=callsheet
S3_SECRET_KEY=$(secret)
CALLSHEET_API_KEY=$(secret)
CALLSHEET_SIGNING_KEY=$(secret)
FLOWER_USER=admin
FLOWER_PASSWORD=$(secret)
GRAFANA_PASSWORD=$(secret)
EOF
echo "Wrote .env. Sign in to the console with CALLSHEET_API_KEY, or with FLOWER_USER and FLOWER_PASSWORD."
