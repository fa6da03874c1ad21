{{- define "smime-proxy.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- /* The service: what Deployment and sidecar have in common. */ -}}
{{- define "smime-proxy.container" -}}
image: {{ include "smime-proxy.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
command: [smime-proxy]
args: [serve]
{{- with .Values.env }}
env:
  {{- range $name, $value := . }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
{{- end }}
securityContext:
  {{- include "smime-proxy.security" . | nindent 2 }}
resources:
  {{- toYaml .Values.resources | nindent 2 }}
startupProbe:
  httpGet:
    path: /readyz
    port: smime-status
  periodSeconds: 1
  failureThreshold: 120
livenessProbe:
  httpGet:
    path: /livez
    port: smime-status
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: smime-status
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}

{{- define "smime-proxy.mounts" -}}
- name: smime-proxy-settings
  mountPath: /etc/smime-proxy
  readOnly: true
- name: smime-proxy-keys
  mountPath: /run/smime-proxy/keys
  readOnly: true
- name: smime-proxy-state
  mountPath: /var/lib/smime-proxy
{{- if .Values.anchors.existingConfigMap }}
- name: smime-proxy-anchors
  mountPath: /run/smime-proxy/anchors
  readOnly: true
{{- end }}
{{- if .Values.upstream.caConfigMap }}
- name: smime-proxy-upstream-ca
  mountPath: /run/smime-proxy/upstream-ca
  readOnly: true
{{- end }}
{{- if and .Values.tls.existingSecret (ne .Values.use "sidecar") }}
- name: smime-proxy-tls
  mountPath: /run/smime-proxy/tls
  readOnly: true
{{- end }}
{{- end -}}

{{- define "smime-proxy.volumes" -}}
{{- /* A sidecar has no fsGroup: whom the pod's other containers run as is not known here. */ -}}
{{- $mode := eq .Values.use "sidecar" | ternary "0444" "0440" -}}
- name: smime-proxy-settings
  configMap:
    name: {{ include "smime-proxy.fullname" . }}
- name: smime-proxy-keys
  secret:
    secretName: {{ .Values.keys.existingSecret }}
    defaultMode: {{ $mode }}
- name: smime-proxy-state
{{- if and (eq .Values.use "mx") .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ .Values.persistence.existingClaim | default (include "smime-proxy.fullname" .) }}
{{- else }}
  emptyDir:
    medium: Memory
    sizeLimit: 128Mi
{{- end }}
{{- if .Values.upstream.caConfigMap }}
- name: smime-proxy-upstream-ca
  configMap:
    name: {{ .Values.upstream.caConfigMap }}
{{- end }}
{{- if and .Values.tls.existingSecret (ne .Values.use "sidecar") }}
- name: smime-proxy-tls
  secret:
    secretName: {{ .Values.tls.existingSecret }}
    defaultMode: {{ $mode }}
{{- end }}
{{- if .Values.anchors.existingConfigMap }}
- name: smime-proxy-anchors
  configMap:
    name: {{ .Values.anchors.existingConfigMap }}
{{- end }}
{{- end -}}

{{- /* For the initContainers of an application's pod, given (index .Subcharts "smime-proxy"). */ -}}
{{- define "smime-proxy.sidecar" -}}
- name: smime-proxy
  restartPolicy: Always
  {{- include "smime-proxy.container" . | nindent 2 }}
  ports:
    - name: smime-status
      containerPort: 8026
  volumeMounts:
    {{- include "smime-proxy.mounts" . | nindent 4 }}
{{- end -}}

{{- /* For an annotation of the application's pod: new settings make new pods. */ -}}
{{- define "smime-proxy.checksum" -}}
{{ include "smime-proxy.settings" . | sha256sum }}
{{- end -}}
