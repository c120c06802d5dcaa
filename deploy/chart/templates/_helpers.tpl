{{- define "reranker.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "reranker.labels" -}}
{{ include "reranker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "reranker.image" -}}
{{- $needed := "image.repository is needed: build the image, push it and name it" -}}
{{ required $needed .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Where clients ask; nobody translates the port of a headless service. */}}
{{- define "reranker.port" -}}
{{ .Values.service.headless | ternary 7998 .Values.service.port }}
{{- end }}

{{/* What is the chart's to set, and what would be shown in the release. */}}
{{- define "reranker.checkSettings" -}}
{{- $chart := dict
  "RERANKER_DOWNLOAD" "weights.download"
  "RERANKER_DRAIN_SECONDS" "drainSeconds"
  "RERANKER_HOST" "service"
  "RERANKER_LOG_DIR" "kubectl logs, where llama-server's log is"
  "RERANKER_PORT" "service.port" }}
{{- $secret := list "HF_TOKEN" "LLAMA_API_KEY" "LLAMA_SERVER_API_KEY" "RERANKER_API_KEY" }}
{{- range $name := concat (keys .Values.settings) (keys .Values.secrets) }}
  {{- with get $chart $name }}
    {{- fail (printf "%s is set by the chart: see %s" $name .) }}
  {{- end }}
{{- end }}
{{- range $name := keys .Values.settings }}
  {{- if has $name $secret }}
    {{- fail (printf "settings.%s would be readable in the release: put it in a Secret, and its name and key in secrets.%s" $name $name) }}
  {{- end }}
  {{- if hasKey $.Values.secrets $name }}
    {{- fail (printf "%s is in settings and in secrets: leave it in one of them" $name) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Variables of the download and of the service alike. */}}
{{- define "reranker.environment" -}}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  {{- /* A large number would be written as 3e+07. */}}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- range $name, $secret := .Values.secrets }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef: {{ toJson $secret }}
{{- end }}
# Above 1023, where any user may listen on any runtime.
- name: RERANKER_PORT
  value: "7998"
# None: llama-server's log goes to standard error.
- name: RERANKER_LOG_DIR
  value: ""
{{- end }}

{{- define "reranker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* "true" where the weights are a volume that pods of several nodes cannot share. */}}
{{- define "reranker.ofOneNode" -}}
{{- $weights := .Values.weights }}
{{- if and $weights.persistent (not $weights.existingClaim) (ne $weights.accessMode "ReadWriteMany") }}
{{- true }}
{{- end }}
{{- end }}

{{/* "true" where there may be more than one pod. */}}
{{- define "reranker.several" -}}
{{- if .Values.autoscaling.enabled | ternary .Values.autoscaling.maxReplicas .Values.replicas | int | lt 1 }}
{{- true }}
{{- end }}
{{- end }}
