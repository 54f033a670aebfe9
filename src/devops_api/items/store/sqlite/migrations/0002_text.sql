-- The words of name and description. Marks (M*) belong to words, because some scripts write vowels as marks. The text
-- itself is read from the items. Positions are not stored, so phrases cannot be searched.
CREATE VIEW item_texts AS SELECT sequence, name || char(10) || coalesce(description, '') AS text FROM items;
CREATE VIRTUAL TABLE item_words USING fts5 (
    text,
    content = item_texts,
    content_rowid = sequence,
    detail = none,
    columnsize = 0,
    tokenize = "unicode61 remove_diacritics 2 categories 'L* M* N* Co'"
);
INSERT INTO item_words (item_words) VALUES ('rebuild');
