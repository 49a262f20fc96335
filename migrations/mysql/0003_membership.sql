-- Invites and those who came in with them. An invite's secret has 128 random bits; its SHA-256 is stored.

CREATE TABLE invites (
    id          VARCHAR(36)   NOT NULL PRIMARY KEY,
    secret_hash VARBINARY(32) NOT NULL UNIQUE,
    label       TEXT          NOT NULL,
    role        VARCHAR(16)   NOT NULL CHECK (role IN ('node', 'gateway')),
    max_uses    BIGINT        NOT NULL CHECK (max_uses > 0),
    uses        BIGINT        NOT NULL DEFAULT 0,
    -- Shown on the console at a start; the next start takes it back.
    printed     SMALLINT      NOT NULL CHECK (printed IN (0, 1)),
    created_by  VARCHAR(36),
    created_at  BIGINT        NOT NULL,
    expires_at  BIGINT        NOT NULL,
    revoked_at  BIGINT,
    CHECK (uses BETWEEN 0 AND max_uses),
    INDEX invites_by_end (expires_at),
    FOREIGN KEY (created_by) REFERENCES users (id) ON DELETE SET NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE members (
    peer       VARCHAR(191) NOT NULL PRIMARY KEY,
    name       TEXT         NOT NULL,
    role       VARCHAR(16)  NOT NULL CHECK (role IN ('node', 'gateway')),
    invite_id  VARCHAR(36),
    joined_at  BIGINT       NOT NULL,
    revoked_at BIGINT,
    INDEX members_of_invite (invite_id),
    FOREIGN KEY (invite_id) REFERENCES invites (id) ON DELETE SET NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One row: where the gateway was when it last ran, for invites that are made beside it. Addresses are lines.
CREATE TABLE gateway_addresses (
    id        BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    peer      TEXT   NOT NULL,
    swarm     TEXT   NOT NULL,
    addresses TEXT   NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
