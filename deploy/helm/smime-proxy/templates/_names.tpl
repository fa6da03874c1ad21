{{- define "smime-proxy.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 53 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "smime-proxy.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "smime-proxy.labels" -}}
{{ include "smime-proxy.selector" . }}
app.kubernetes.io/component: {{ .Values.use }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "smime-proxy.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "smime-proxy.servicePort" -}}
{{- if .Values.service.port -}}
{{ .Values.service.port }}
{{- else if eq .Values.use "relay" -}}
587
{{- else -}}
{{ eq .Values.listener.protocol "lmtp" | ternary 24 25 }}
{{- end -}}
{{- end -}}

{{- /* The port of the upstream's URL, else that of its scheme (as the program has it). */ -}}
{{- define "smime-proxy.upstreamPort" -}}
{{- $url := urlParse .Values.upstream.url -}}
{{- regexFind ":[0-9]+$" $url.host | trimPrefix ":" | default (get (dict "smtp" "25" "smtps" "465" "lmtp" "24") $url.scheme) -}}
{{- end -}}
