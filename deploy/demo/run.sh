#!/bin/bash
# Makes the demo with the commands any administrator would type, once, then serves it.
# usage: run.sh STATE OUTBOUND_PORT INBOUND_PORT WEB_PORT STATUS_PORT
set -euo pipefail
umask 077  # keys and mail lie in the state
top=$(cd "$(dirname "$0")/../.." && pwd)
state=$(realpath -m -- "$1") outbound=$2 inbound=$3 web=$4 status=$5
demo=$state/demo config=$state/smime-proxy.toml

# The demo is what this file says, whatever else the shell knows of another installation.
for name in $(compgen -e SMIME_PROXY_ || true); do
    unset "$name"
done
smime_proxy() {
    "$top/.venv/bin/smime-proxy" --config "$config" "$@"
}

# The settings are written again only when they would say something else: edits survive a restart.
write_settings() {
    local text mark="# written by make run for $state $outbound $inbound $web $status"
    if [ -e "$config" ] && [ "$(head -n 1 "$config")" = "$mark" ]; then
        return
    fi
    text=$(<"$top/config/demo.toml")
    text=${text//@STATE@/"$state"}
    text=${text//@OUTBOUND_PORT@/"$outbound"}
    text=${text//@INBOUND_PORT@/"$inbound"}
    text=${text//@WEB_PORT@/"$web"}
    text=${text//@STATUS_PORT@/"$status"}
    printf '%s\n%s\n' "$mark" "$text" > "$config"
}

# make_file NAME COMMAND...: keeps what a command prints, whole or not at all.
make_file() {
    if [ ! -e "$demo/$1" ]; then
        smime_proxy "${@:2}" > "$demo/$1.new"
        mv "$demo/$1.new" "$demo/$1"
    fi
}

# Every step may be repeated: an interrupted first start is finished by the second.
make_state() {
    echo "making the demo state in $state"
    mkdir -p "$demo" "$state/mail"
    write_settings

    smime_proxy account add alice@example.test
    smime_proxy account add bob@example.test
    smime_proxy account add team@example.test --kind team

    make_file root.pem ca init
    make_file alice.pem ca issue alice@example.test
    make_file bob.pem ca issue bob@example.test
    make_file team.pem ca issue team@example.test
    make_file partner.pem ca issue partner@example.org --out "$demo/partner.key"
    smime_proxy cert import "$demo/partner.pem"

    cp "$top/deploy/demo/meeting.eml" "$demo/meeting.eml"
    touch "$demo/.complete"
}

show() {
    cat <<TEXT

smime-proxy demo. State: $state   Settings: $config
  outbound SMTP   127.0.0.1:$outbound   signs and encrypts; what goes out lands in $state/mail/outbound
  inbound SMTP    127.0.0.1:$inbound   decrypts and verifies; what is delivered lands in $state/mail/inbound
  status          http://127.0.0.1:$status/readyz and /metrics
  admin web       stays closed in this version (port $web is kept for it); use the commands
Accounts alice@example.test, bob@example.test, team@example.test (team); partner partner@example.org.

Try this from another shell, in $top:
  # leaves signed
  swaks --server 127.0.0.1:$outbound --from alice@example.test --to someone@example.net --body 'Signed on its way.'
  openssl cms -verify -CAfile $demo/root.pem -in "\$(ls -t $state/mail/outbound/new/* | head -n 1)"
  # leaves signed and encrypted
  swaks --server 127.0.0.1:$outbound --from alice@example.test --to partner@example.org --body 'For your eyes only.'
  openssl cms -decrypt -recip $demo/partner.pem -inkey $demo/partner.key -in "\$(ls -t $state/mail/outbound/new/* | head -n 1)"
  # arrives decrypted; the same to team@example.test (team.pem) is refused
  printf 'Content-Type: text/plain\r\n\r\nHello Alice\r\n' | openssl cms -encrypt -aes256 -from partner@example.org \\
      -to alice@example.test -subject Secret $demo/alice.pem > /tmp/secret.eml
  swaks --server 127.0.0.1:$inbound --from partner@example.org --to alice@example.test --data @/tmp/secret.eml
  # an invitation leaves as it came
  swaks --server 127.0.0.1:$outbound --from alice@example.test --to partner@example.org --data @$demo/meeting.eml
  # look around
  .venv/bin/smime-proxy --config $config account list
Ctrl-C ends it; the next 'make run' finds its state again.

TEXT
}

[ -e "$demo/.complete" ] || make_state
write_settings
show
exec "$top/.venv/bin/smime-proxy" --config "$config" serve
