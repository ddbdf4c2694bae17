#!/bin/bash
# Quotes of this node's TPM, which only root may ask; for a site to install.
#
#   tpm.sh register NODE   once: make the key, write NODE.pem, print what the keeper needs
#   tpm.sh quote           at each request: 64 hex digits on standard input, JSON back
#
# A prolog of Slurm, as root, starts what listens (or a socket unit of systemd does):
#   install -d /run/hpc_connector
#   setsid socat UNIX-LISTEN:/run/hpc_connector/tpm.sock,fork,mode=666 \
#       EXEC:'/usr/local/sbin/tpm.sh quote' &
# Anybody on the node may ask: what is signed says how it was booted, for 32 bytes that
# are of one job. TPM2TOOLS_TCTI is that of tpm2-tools.
set -euo pipefail

key=0x81010018      # where the TPM keeps it
registers=sha256:0,1,2,3,4,5,6,7
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
exec 3>&1 >/dev/null # tpm2-tools talk

case ${1-} in
register)
    node=${2:?expected the name of the node}
    tpm2_createek -G ecc -c "$folder/ek" -u "$folder/ek.pub"
    tpm2_createak -C "$folder/ek" -c "$folder/ak" -G ecc -g sha256 -s ecdsa \
        -f pem -u "$node.pem"
    tpm2_flushcontext -t
    tpm2_evictcontrol -C o -c "$folder/ak" "$key"
    tpm2_flushcontext -t
    tpm2_pcrread -o "$folder/pcrs" "$registers"
    digest=$(sha256sum <"$folder/pcrs")
    printf '[nodes."%s"]\nkey = "%s.pem"\npcrs = ["%s"]\n' \
        "$node" "$node" "${digest%% *}" >&3
    ;;
quote)
    read -r -t 10 -n 65 asked || true
    if ! [[ $asked =~ ^[0-9a-f]{64}$ ]]; then
        echo '{"error": "expected 64 hex digits"}' >&3
        exit 2
    fi
    tpm2_quote -c "$key" -l "$registers" -q "$asked" -g sha256 \
        -m "$folder/quoted" -s "$folder/signature"
    printf '{"quoted": "%s", "signature": "%s"}\n' \
        "$(base64 -w 0 "$folder/quoted")" "$(base64 -w 0 "$folder/signature")" >&3
    ;;
*)
    echo "expected register NODE, or quote" >&2
    exit 2
    ;;
esac
