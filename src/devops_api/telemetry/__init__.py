"""OpenTelemetry: catalogue, histograms, sampling, spans, exposition, OTLP. Imports `logs` and `errors`; knows no domain."""
