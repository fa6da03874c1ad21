{{- define "smime-proxy.anchorFiles" -}}
{{- $files := list -}}
{{- range . }}{{ $files = append $files (print "/run/smime-proxy/anchors/" .) }}{{ end -}}
{{ toJson $files }}
{{- end -}}

{{- /* The settings file. Strings and lists of TOML are written as JSON, which TOML reads the same. */ -}}
{{- define "smime-proxy.settings" -}}
{{- $keys := "/run/smime-proxy/keys/" -}}
[service]
hostname = {{ toJson .Values.hostname }}
state_dir = "/var/lib/smime-proxy/state"

[admin]
bind = ""

[status]
bind = "0.0.0.0:8026"

[log]
format = "json"
level = {{ toJson .Values.log.level }}
addresses = {{ toJson .Values.log.addresses }}

[limits]
memory = {{ eq .Values.use "sidecar" | ternary "64MB" "256MB" | quote }}

[revocation]
mode = {{ toJson .Values.revocation.mode }}
{{- if not (and (eq .Values.use "mx") .Values.persistence.enabled) }}
max_list_size = "8MB"
max_store_size = "16MB"
{{- end }}
{{- with .Values.anchors }}
{{- if .existingConfigMap }}

[trust]
anchor_files = {{ include "smime-proxy.anchorFiles" .files }}
own_anchor_files = {{ include "smime-proxy.anchorFiles" .ownFiles }}
{{- end }}
{{- end }}

[upstreams.next]
url = {{ toJson .Values.upstream.url }}
tls = {{ toJson .Values.upstream.tls }}
{{- if .Values.upstream.caConfigMap }}
tls_ca_file = "/run/smime-proxy/upstream-ca/ca.crt"
{{- end }}
{{- if .Values.upstream.username }}
username = {{ toJson .Values.upstream.username }}
password_file = {{ toJson (print $keys .Values.upstream.passwordFile) }}
{{- end }}
{{ if eq .Values.use "mx" }}
[listeners.mx]
role = "inbound"
bind = "0.0.0.0:2525"
protocol = {{ toJson .Values.listener.protocol }}
upstream = "next"
domains = {{ toJson .Values.listener.domains }}
{{- else }}
[listeners.submission]
role = "outbound"
upstream = "next"
{{- if eq .Values.use "sidecar" }}
bind = "127.0.0.1:2525"
{{- else }}
bind = "0.0.0.0:2525"
auth = {{ toJson .Values.listener.auth }}
trusted_networks = {{ toJson .Values.listener.trustedNetworks }}
{{- end }}
{{- end }}
accounts = {{ toJson .Values.listener.accounts }}
{{- if and .Values.tls.existingSecret (ne .Values.use "sidecar") }}
tls_certificate = "/run/smime-proxy/tls/tls.crt"
tls_key = "/run/smime-proxy/tls/tls.key"
{{- end }}
{{- range $address, $account := .Values.accounts }}

[accounts.{{ toJson $address }}]
key_file = {{ toJson (print $keys $account.keyFile) }}
{{- with $account.passwordFile }}
password_file = {{ toJson (print $keys .) }}
{{- end }}
{{- with $account.formerKeyFiles }}
{{- $files := list }}
{{- range . }}{{ $files = append $files (print $keys .) }}{{ end }}
former_key_files = {{ toJson $files }}
{{- end }}
{{- with $account.sentCopy }}
sent_copy = {{ toJson . }}
{{- end }}
{{- range $name := list "kind" "sign" "encrypt" "aliases" "logins" }}
{{- with get $account $name }}
{{ $name }} = {{ toJson . }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraSettings }}

{{ . | trim }}
{{- end }}
{{ end -}}
