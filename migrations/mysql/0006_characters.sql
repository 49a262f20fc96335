-- Characters: whom a conversation is held with. What one says at its beginning is copied into the conversation, so that
-- a change by its owner changes nothing that was begun before.
CREATE TABLE characters (
    id            VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id       VARCHAR(36) NOT NULL,
    name          TEXT        NOT NULL,
    system_prompt MEDIUMTEXT  NOT NULL,
    greeting      MEDIUMTEXT  NOT NULL,
    -- How its tokens are chosen, as JSON.
    sampling      TEXT        NOT NULL,
    shared        SMALLINT    NOT NULL CHECK (shared IN (0, 1)),
    created_at    BIGINT      NOT NULL,
    updated_at    BIGINT      NOT NULL,
    INDEX characters_of_user (user_id, created_at),
    INDEX characters_shared (shared, created_at),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE character_pictures (
    character_id VARCHAR(36) NOT NULL PRIMARY KEY,
    kind         VARCHAR(16) NOT NULL CHECK (kind IN ('png', 'jpeg', 'webp')),
    bytes        MEDIUMBLOB  NOT NULL,
    FOREIGN KEY (character_id) REFERENCES characters (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE conversations ADD COLUMN character_id VARCHAR(36);
CREATE INDEX conversations_of_character ON conversations (character_id);
ALTER TABLE conversations ADD CONSTRAINT conversations_with_character
    FOREIGN KEY (character_id) REFERENCES characters (id) ON DELETE SET NULL;
-- As its character had it at the beginning, as JSON.
ALTER TABLE conversations ADD COLUMN sampling TEXT;
