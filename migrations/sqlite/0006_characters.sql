-- Characters: whom a conversation is held with. What one says at its beginning is copied into the conversation, so that
-- a change by its owner changes nothing that was begun before.
CREATE TABLE characters (
    id            TEXT    NOT NULL PRIMARY KEY,
    user_id       TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name          TEXT    NOT NULL,
    system_prompt TEXT    NOT NULL,
    greeting      TEXT    NOT NULL,
    -- How its tokens are chosen, as JSON.
    sampling      TEXT    NOT NULL,
    shared        INTEGER NOT NULL CHECK (shared IN (0, 1)),
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;
CREATE INDEX characters_of_user ON characters (user_id, created_at);
CREATE INDEX characters_shared ON characters (shared, created_at);

CREATE TABLE character_pictures (
    character_id TEXT NOT NULL PRIMARY KEY REFERENCES characters (id) ON DELETE CASCADE,
    kind         TEXT NOT NULL CHECK (kind IN ('png', 'jpeg', 'webp')),
    bytes        BLOB NOT NULL
) STRICT;

ALTER TABLE conversations ADD COLUMN character_id TEXT REFERENCES characters (id) ON DELETE SET NULL;
CREATE INDEX conversations_of_character ON conversations (character_id);
-- As its character had it at the beginning, as JSON.
ALTER TABLE conversations ADD COLUMN sampling TEXT;
