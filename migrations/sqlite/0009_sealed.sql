-- Words at rest are sealed with a key of their owner's own, which is wrapped by a key that comes from the master key
-- outside of the database. `sealed` holds all words of a row; the columns that held them before are empty then. Where
-- the release before this one still writes it fills those, and they are sealed later.
CREATE TABLE data_keys (
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- From 1; the newest seals.
    generation INTEGER NOT NULL CHECK (generation > 0),
    -- The id of the master key that wraps it.
    master     TEXT    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    -- Nothing of this user's is left in the clear.
    all_sealed INTEGER NOT NULL CHECK (all_sealed IN (0, 1)),
    PRIMARY KEY (user_id, generation)
) STRICT;

-- The keys that come from master keys, each wrapped by another one, or by itself to show who has the right one.
CREATE TABLE master_keys (
    id         TEXT    NOT NULL,
    known_by   TEXT    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (id, known_by)
) STRICT;

ALTER TABLE conversations ADD COLUMN sealed BLOB;
ALTER TABLE messages ADD COLUMN sealed BLOB;
ALTER TABLE progress ADD COLUMN sealed BLOB;
ALTER TABLE characters ADD COLUMN sealed BLOB;
ALTER TABLE character_pictures ADD COLUMN sealed BLOB;
