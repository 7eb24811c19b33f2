#!/bin/sh
# A plan and an apply on a cluster of your own: makes one with kind, builds the runner image, starts a server on this machine
# with the rights of runner.yaml and no others, and drives it with terraform. It ends the server and removes the cluster.
#
# Needs docker, kind, kubectl, openssl and terraform on PATH, and Linux: pods reach the server at docker's gateway address.
# From the root of the repository, with terrapod-core and terrapod-runner-kubernetes installed in .venv:
#
#   sh contrib/kubernetes/try-on-kind.sh
set -eu

CLUSTER=terrapod-try
NAMESPACE=terrapod-runs
IMAGE=terrapod-runner:try
PORT=${PORT:-8443}
TERRAPOD=${TERRAPOD:-.venv/bin/terrapod}
HERE=$(mktemp -d)
SERVER=

tidy() {
    [ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null || true
    kind delete cluster --name "$CLUSTER" >/dev/null 2>&1 || true
    rm -rf "$HERE"
}
trap tidy EXIT INT TERM

echo "== a cluster, the image, the rights"
kind create cluster --name "$CLUSTER" --wait 120s
docker build --quiet -f contrib/kubernetes/Dockerfile -t "$IMAGE" .
kind load docker-image "$IMAGE" --name "$CLUSTER"
kubectl --context "kind-$CLUSTER" apply -f contrib/kubernetes/runner.yaml

echo "== a kubeconfig of the server's own service account"
CONFIG="$HERE/kubeconfig"
of_cluster() {
    kubectl config view --context "kind-$CLUSTER" --minify --flatten --output "jsonpath={.clusters[0].cluster.$1}"
}
(umask 077 && cat >"$CONFIG" <<EOF
apiVersion: v1
kind: Config
clusters:
  - name: try
    cluster:
      server: $(of_cluster server)
      certificate-authority-data: $(of_cluster certificate-authority-data)
users:
  - name: terrapod
    user:
      token: $(kubectl --context "kind-$CLUSTER" --namespace "$NAMESPACE" create token terrapod --duration 2h)
contexts:
  - name: try
    context: {cluster: try, user: terrapod, namespace: $NAMESPACE}
current-context: try
EOF
)

echo "== a server that pods can reach"
HOST=$(docker network inspect kind --format '{{range .IPAM.Config}}{{.Gateway}} {{end}}' | tr ' ' '\n' | grep -m1 '\.')
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$HOST" -addext "subjectAltName=IP:$HOST" \
    -keyout "$HERE/key.pem" -out "$HERE/cert.pem" 2>/dev/null
export TERRAPOD_EXTERNAL_URL="https://$HOST:$PORT"
export TERRAPOD_RUNNER__BACKEND=kubernetes
export TERRAPOD_RUNNER__KUBERNETES__KUBECONFIG="$CONFIG"
export TERRAPOD_RUNNER__KUBERNETES__IMAGE="$IMAGE"
export TERRAPOD_RUNNER__KUBERNETES__IMAGE_PULL_POLICY=Never
"$TERRAPOD" serve --host "$HOST" --port "$PORT" --data-dir "$HERE/data" \
    --tls-cert "$HERE/cert.pem" --tls-key "$HERE/key.pem" >"$HERE/server.log" 2>&1 &
SERVER=$!
for _ in $(seq 60); do
    curl --silent --fail --cacert "$HERE/cert.pem" "https://$HOST:$PORT/ready" >/dev/null && break
    sleep 1
done

echo "== a plan and an apply"
mkdir "$HERE/configuration"
cat >"$HERE/configuration/main.tf" <<EOF
terraform {
  cloud {
    hostname     = "$HOST:$PORT"
    organization = "default"
    workspaces {
      name = "on-kind"
    }
  }
}

resource "terraform_data" "greeting" {
  input = "applied in a pod"
}

output "greeting" {
  value = terraform_data.greeting.output
}
EOF
(umask 077 && cat >"$HERE/terraform.rc" <<EOF
credentials "$HOST:$PORT" {
  token = "$("$TERRAPOD" tokens create admin@localhost --data-dir "$HERE/data")"
}
EOF
)
export TF_CLI_CONFIG_FILE="$HERE/terraform.rc" SSL_CERT_FILE="$HERE/cert.pem"
if terraform -chdir="$HERE/configuration" init && terraform -chdir="$HERE/configuration" apply -auto-approve; then
    echo "== it works"
else
    kubectl --context "kind-$CLUSTER" --namespace "$NAMESPACE" get jobs,pods,events
    cat "$HERE/server.log"
    exit 1
fi
kubectl --context "kind-$CLUSTER" --namespace "$NAMESPACE" get jobs,pods,secrets
