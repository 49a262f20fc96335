-- Invitations of people. An invitation's secret has 256 random bits; its SHA-256 is stored.
CREATE TABLE invitations (
    id          VARCHAR(36)   NOT NULL PRIMARY KEY,
    secret_hash VARBINARY(32) NOT NULL UNIQUE,
    label       TEXT          NOT NULL,
    role        VARCHAR(16)   NOT NULL CHECK (role IN ('user', 'worker', 'admin')),
    max_uses    BIGINT        NOT NULL CHECK (max_uses > 0),
    uses        BIGINT        NOT NULL DEFAULT 0,
    created_by  VARCHAR(36),
    created_at  BIGINT        NOT NULL,
    expires_at  BIGINT        NOT NULL,
    CHECK (uses BETWEEN 0 AND max_uses),
    INDEX invitations_by_end (expires_at),
    FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE members ADD COLUMN owner_id VARCHAR(36);
UPDATE members SET owner_id = (SELECT created_by FROM invites WHERE invites.id = members.invite_id);
ALTER TABLE members ADD INDEX members_of_owner (owner_id),
    ADD FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE SET NULL;

ALTER TABLE users ADD COLUMN tokens_per_day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN tokens_per_day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_keys ADD COLUMN scopes VARCHAR(191) NOT NULL DEFAULT 'chat,embeddings,models';

CREATE TABLE token_usage (
    user_id VARCHAR(36) NOT NULL,
    key_id  VARCHAR(36) NOT NULL,
    day     BIGINT      NOT NULL,
    tokens  BIGINT      NOT NULL,
    PRIMARY KEY (user_id, key_id, day),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
