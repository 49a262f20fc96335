-- What is remembered of a person: facts that they have written, and passages of what was said in their conversations.
-- A vector is of 16-bit numbers, little end first, and belongs to the model that made it; where it is NULL, either none
-- was made yet (the model is NULL too), or that model can make none of this text.
CREATE TABLE memories (
    id         TEXT    NOT NULL PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL CHECK (kind IN ('fact', 'message')),
    message_id TEXT    REFERENCES messages (id) ON DELETE CASCADE,
    -- What it says, sealed as in other tables.
    sealed     BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    model      BLOB,
    -- Sealed too: who has a vector knows nearly what it was made of.
    vector     BLOB,
    -- Counts up with each vector of this person: who has read up to one reads on behind it.
    place      INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX memories_of_user ON memories (user_id, kind, id);
CREATE INDEX memories_of_message ON memories (message_id);
CREATE INDEX memories_to_embed ON memories (model, kind, id);
CREATE INDEX memories_to_search ON memories (user_id, model, place);

-- How a person wants it. Without a row it is on.
CREATE TABLE memory_settings (
    user_id TEXT    NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    -- The last place that was given.
    place   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Which memories an answer was given with, in the order in which the model read them, and in the words of that time.
-- When a memory is deleted, so is this.
CREATE TABLE recalled (
    id         TEXT    NOT NULL PRIMARY KEY,
    message_id TEXT    NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    memory_id  TEXT    NOT NULL REFERENCES memories (id) ON DELETE CASCADE,
    sealed     BLOB    NOT NULL,
    similarity REAL    NOT NULL,
    UNIQUE (message_id, number)
) STRICT;
CREATE INDEX recalled_memory ON recalled (memory_id);

-- Whether a message has been cut into passages, or is not to be. Those of earlier releases are taken up bit by bit.
ALTER TABLE messages ADD COLUMN remembered INTEGER NOT NULL DEFAULT 0 CHECK (remembered IN (0, 1));
CREATE INDEX messages_to_remember ON messages (remembered, id);
