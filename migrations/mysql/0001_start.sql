-- Accounts, sessions, API keys, conversations and their messages: see migrations/sqlite for what means what.
-- Every text is compared byte by byte. Columns that are keys have a length; no table uses what MariaDB alone has.

CREATE TABLE users (
    id            VARCHAR(36)  NOT NULL PRIMARY KEY,
    username      VARCHAR(191) NOT NULL UNIQUE,
    password_hash TEXT         NOT NULL,
    role          VARCHAR(16)  NOT NULL,
    created_at    BIGINT       NOT NULL,
    -- Named, so that a later release can name other roles.
    CONSTRAINT users_role CHECK (role IN ('user', 'admin'))
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE sessions (
    token_hash VARBINARY(32) NOT NULL PRIMARY KEY,
    user_id    VARCHAR(36)   NOT NULL,
    created_at BIGINT        NOT NULL,
    expires_at BIGINT        NOT NULL,
    INDEX sessions_of_user (user_id, created_at),
    INDEX sessions_by_end (expires_at),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE api_keys (
    id           VARCHAR(36)   NOT NULL PRIMARY KEY,
    user_id      VARCHAR(36)   NOT NULL,
    label        TEXT          NOT NULL,
    secret_hash  VARBINARY(32) NOT NULL UNIQUE,
    created_at   BIGINT        NOT NULL,
    last_used_at BIGINT,
    INDEX api_keys_of_user (user_id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE conversations (
    id         VARCHAR(36) NOT NULL PRIMARY KEY,
    user_id    VARCHAR(36) NOT NULL,
    title      TEXT        NOT NULL,
    created_at BIGINT      NOT NULL,
    updated_at BIGINT      NOT NULL,
    INDEX conversations_of_user (user_id, updated_at, id),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE messages (
    id                VARCHAR(36) NOT NULL PRIMARY KEY,
    conversation_id   VARCHAR(36) NOT NULL,
    position          BIGINT      NOT NULL,
    role              VARCHAR(16) NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
    text              MEDIUMTEXT  NOT NULL,
    status            VARCHAR(16) NOT NULL CHECK (status IN ('running', 'complete', 'partial', 'failed')),
    error_code        TEXT,
    error_message     TEXT,
    created_at        BIGINT      NOT NULL,
    node_name         TEXT,
    node_peer         TEXT,
    model             TEXT,
    finish_reason     VARCHAR(16) CHECK (finish_reason IN ('stop', 'length', 'cancelled', 'error')),
    prompt_tokens     BIGINT,
    completion_tokens BIGINT,
    first_token_ms    DOUBLE,
    tokens_per_second DOUBLE,
    UNIQUE (conversation_id, position),
    INDEX messages_running (status, id),
    FOREIGN KEY (conversation_id) REFERENCES conversations (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What a transaction locks that counts before it writes. SQLite needs none: it has one writer.
CREATE TABLE locks (
    name VARCHAR(16) NOT NULL PRIMARY KEY
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
INSERT INTO locks (name) VALUES ('users'), ('invites');
