-- Responses to replay: the digest of the request's body, and the created item as JSON (see `encoding.dump_item`).
CREATE TABLE idempotency_keys (
    key TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    item TEXT NOT NULL,
    expires_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at_ms);
