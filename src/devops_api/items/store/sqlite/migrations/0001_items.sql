-- Items by their sequence number, which is also the first half of their identifier (see `ids`). Prices are hundredths,
-- tags are separated by blanks in the order given, times are milliseconds since 1970 UTC.
CREATE TABLE items (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    price INTEGER NOT NULL,
    sku TEXT,
    description TEXT,
    tags TEXT NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX items_by_price ON items (price);
CREATE INDEX items_by_name ON items (name);
CREATE UNIQUE INDEX items_by_sku ON items (sku) WHERE sku IS NOT NULL;

CREATE TABLE item_tags (
    tag TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (tag, sequence)
) STRICT, WITHOUT ROWID;

-- One row: the number of items, the last sequence number given to an item, and when writing was last checked.
CREATE TABLE state (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    item_count INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL,
    checked_at_ms INTEGER NOT NULL
) STRICT;
INSERT INTO state VALUES (1, 0, 0, 0);
CREATE TRIGGER items_counted_in AFTER INSERT ON items BEGIN
    UPDATE state SET item_count = item_count + 1, last_sequence = max(last_sequence, new.sequence);
END;
CREATE TRIGGER items_counted_out AFTER DELETE ON items BEGIN
    UPDATE state SET item_count = item_count - 1;
END;
