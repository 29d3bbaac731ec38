-- Keys on expressions, and CHECKs.

-- sun: cache ttl=1m
CREATE TABLE account (
  account_id BIGINT NOT NULL,
  email      VARCHAR(100) NOT NULL,
  name       VARCHAR(50) COLLATE utf8mb4_general_ci NOT NULL,
  tenant_id  INT NOT NULL,
  `value`    INT NOT NULL DEFAULT 0,
  about      TEXT,
  extra      JSON,
  made_at    DATETIME NOT NULL,
  left_at    DATETIME DEFAULT NULL,
  PRIMARY KEY (account_id),
  UNIQUE KEY account_by_email ((lower(email)), (if(left_at IS NULL, 1, NULL))),
  UNIQUE KEY account_by_name (tenant_id, (trim(name)) DESC),
  KEY account_by_day ((CAST(made_at AS DATE)), account_id),
  KEY account_by_about ((LEFT(about, 20))),
  KEY account_by_value (`value`, (`value` % 10)),
  KEY account_by_city ((CAST(extra->>'$.city' AS CHAR(30)) COLLATE utf8mb4_bin))
) COMMENT='The last key is made on MariaDB and MySQL only, so it has no finder.';

CREATE TABLE booking (
  booking_id BIGINT NOT NULL,
  seats      TINYINT NOT NULL CHECK (seats > 0),
  kind       ENUM('day','night') NOT NULL,
  price      DECIMAL(10,2) NOT NULL CONSTRAINT fair_price CHECK (price >= 0.5 AND price < 1000),
  code       VARCHAR(20) NOT NULL,
  opens      DATETIME NOT NULL,
  closes     DATETIME DEFAULT NULL,
  lasts      TIME DEFAULT NULL,
  PRIMARY KEY (booking_id),
  CONSTRAINT in_order CHECK (opens < closes AND opens >= '2020-01-01'),
  CONSTRAINT short_nights CHECK (kind <> 'night' OR lasts <= '12:00:00'),
  CHECK (code LIKE 'B\_%' AND char_length(code) BETWEEN 4 AND 10),
  CONSTRAINT plain_code CHECK (code REGEXP '^[A-Z_0-9]+$'),
  CONSTRAINT never_looked_at CHECK (seats < 3) NOT ENFORCED
) COMMENT='All but one of the CHECKs hold on SQLite too, and one holds nowhere.';
