{{/* A cluster has one Bulkhead, so names are fixed: a second release is refused
by helm because they are taken. */}}

{{- define "bulkhead.selectorLabels" -}}
app.kubernetes.io/name: bulkhead-webhook
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bulkhead.labels" -}}
{{ include "bulkhead.selectorLabels" . }}
app.kubernetes.io/part-of: bulkhead
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* An image reference of {image, root}: by digest where there is one. */}}
{{- define "bulkhead.image" -}}
{{- $image := .image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The exempt namespaces as a JSON list: the ones that Bulkhead itself needs
and those of the values. The configuration and the webhooks' selectors are both
made of it. */}}
{{- define "bulkhead.exemptNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.config.exempt.namespaces | uniq | sortAlpha | toJson -}}
{{- end }}

{{/* The webhook's configuration file. */}}
{{- define "bulkhead.configuration" -}}
{{- $sidecar := dict
      "image" (include "bulkhead.image" (dict "image" .Values.sidecar.image "root" $))
      "imagePullPolicy" .Values.sidecar.image.pullPolicy
      "resources" .Values.sidecar.resources -}}
{{- $exempt := merge
      (dict "namespaces" (include "bulkhead.exemptNamespaces" . | fromJsonArray))
      .Values.config.exempt -}}
{{- merge
      (dict "apiVersion" "config.bulkhead.dev/v1alpha1" "kind" "BulkheadConfiguration" "exempt" $exempt "sidecar" $sidecar)
      .Values.config | toYaml -}}
{{- end }}

{{/* What both kinds of webhook configuration share. */}}
{{- define "bulkhead.webhookAnnotations" -}}
cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/bulkhead-webhook
{{- end }}

{{- define "bulkhead.webhookClient" -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: bulkhead-webhook
    namespace: {{ .root.Release.Namespace }}
    port: 443
    path: {{ .path }}
matchPolicy: Equivalent
sideEffects: None
timeoutSeconds: {{ .root.Values.timeoutSeconds }}
{{- end }}

{{/* By the namespace's name, which the API server itself writes into this label
and nobody can change; never by a label that a tenant could set. */}}
{{- define "bulkhead.namespaceSelector" -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "bulkhead.exemptNamespaces" . }}
{{- end }}

{{/* What the admission policies share. Who is a tenant's the Tenants say, and no
label (threat L11): each policy is asked once for each Tenant, and means the one
that owns the namespace and enforces. Or the values name the namespaces, and the
policies cost the same with any number of Tenants. */}}
{{- define "bulkhead.policyTenants" -}}
failurePolicy: Fail
{{- if not .Values.validatingAdmissionPolicy.namespaces }}
paramKind: {apiVersion: bulkhead.dev/v1alpha1, kind: Tenant}
{{- end }}
{{- end }}

{{- define "bulkhead.policyMatchConditions" -}}
{{- if not .Values.validatingAdmissionPolicy.namespaces }}
- name: tenant-enforces
  expression: request.namespace in params.spec.namespaces && !(params.spec.?enforcement.orValue('enforce') in ['warn', 'audit'])
{{- end }}
{{- with .Values.config.exempt.users }}
- name: user-is-not-exempt
  expression: {{ printf "!(request.userInfo.?username.orValue('') in %s)" (toJson .) | quote }}
{{- end }}
{{- end }}

{{- define "bulkhead.policyBinding" -}}
validationActions: [Deny]
{{- with .Values.validatingAdmissionPolicy.namespaces }}
matchResources:
  namespaceSelector:
    matchExpressions:
      - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- else }}
paramRef:
  selector: {}
  parameterNotFoundAction: Allow
{{- end }}
{{- end }}

{{- /* What is wrong with an address range; nothing if it is in canonical form, so far as
can be told here: the webhook, which refuses to start with others, looks closer. An address
is taken apart into numbers, four of 8 bits or eight of 16, and those bits of each that lie
behind the range's length must be 0. */}}
{{- define "bulkhead.notCanonical" -}}
{{- $cidr := . }}
{{- $address := index (splitList "/" $cidr) 0 }}
{{- $length := index (splitList "/" $cidr) 1 | atoi }}
{{- $width := 8 }}
{{- $base := "" }}
{{- $groups := splitList "." $address }}
{{- $count := 4 }}
{{- if contains ":" $address }}
  {{- $width = 16 }}
  {{- $base = "0x" }}
  {{- $count = 8 }}
  {{- $groups = splitList ":" $address }}
  {{- if contains "::" $address }}
    {{- $halves := splitList "::" $address }}
    {{- $left := compact (splitList ":" (first $halves)) }}
    {{- $right := compact (splitList ":" (last $halves)) }}
    {{- $groups = $left }}
    {{- range until (max 0 (sub 8 (len (concat $left $right))) | int) }}
      {{- $groups = append $groups "0" }}
    {{- end }}
    {{- $groups = concat $groups $right }}
  {{- end }}
{{- end }}
{{- $is := "" }}
{{- if or (ne (len $groups) $count) (gt $length (mul $width $count | int)) (regexMatch "(^|[.:])0[0-9a-f]" $address) (gt (len (splitList "::" $address)) 2) }}
  {{- $is = "no address range in canonical form" }}
{{- end }}
{{- range $i, $group := $groups }}
  {{- $number := printf "%s%s" $base $group | int64 }}
  {{- if or (not (regexMatch (ternary "^[0-9a-f]{1,4}$" "^[0-9]{1,3}$" (eq $width 16)) $group)) (gt $number (ternary 65535 255 (eq $width 16) | int64)) }}
    {{- $is = "no address range in canonical form" }}
  {{- end }}
  {{- $free := min $width (max 0 (sub (mul $width (add1 $i)) $length)) }}
  {{- $step := 1 }}
  {{- range until ($free | int) }}
    {{- $step = mul $step 2 }}
  {{- end }}
  {{- if and (not $is) (mod $number $step) }}
    {{- $is = printf "no address range in canonical form: behind its /%d only bits of 0 may follow" $length }}
  {{- end }}
{{- end }}
{{- with $is }}{{ printf "%s is %s" $cidr . }}{{ end }}
{{- end }}
