-- What it takes to go on with an answer that is not whole: behind which tokens, and how they were made. The row is
-- there from the question on, is written while the answer grows, and goes when the answer is whole.
CREATE TABLE progress (
    message_id     TEXT    NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    job_id         TEXT    NOT NULL,
    attempts       INTEGER NOT NULL,
    model_id       BLOB    NOT NULL,
    model          TEXT    NOT NULL,
    seed           INTEGER,
    max_tokens     INTEGER,
    reasoning      TEXT    NOT NULL CHECK (reasoning IN ('never', 'marked', 'open')),
    -- Who has given it so far, as JSON.
    nodes          TEXT    NOT NULL,
    first_token_ms REAL,
    -- Ids of four bytes, little end first.
    tokens         BLOB    NOT NULL,
    -- What they say in the model's own words, thoughts and all.
    text           TEXT    NOT NULL
) STRICT;

-- Whether there is progress to go on from. Answers of an earlier release have none.
ALTER TABLE messages ADD COLUMN resumable INTEGER NOT NULL DEFAULT 0 CHECK (resumable IN (0, 1));
-- The names of the nodes that gave it, as JSON, where there was more than one.
ALTER TABLE messages ADD COLUMN nodes TEXT;
