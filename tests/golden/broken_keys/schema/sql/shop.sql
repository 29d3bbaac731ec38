-- Keys on expressions, CHECKs and references that an engine would not take.

CREATE TABLE account (
  id    BIGINT NOT NULL AUTO_INCREMENT CHECK (id > 0),
  name  VARCHAR(50) NOT NULL CONSTRAINT named CHECK (nme <> ''),
  about TEXT,
  extra JSON,
  boss  BIGINT DEFAULT NULL REFERENCES account (id) ON DELETE SET NULL,
  other BIGINT DEFAULT NULL REFERENCES elsewhere.account (id),
  gone  BIGINT DEFAULT NULL REFERENCES gone (id),
  PRIMARY KEY (id),
  KEY by_about ((lower(about))),
  KEY by_half ((id / 2)),
  KEY by_city ((extra->>'$.city')),
  UNIQUE KEY by_town ((CAST(extra->>'$.town' AS CHAR(20)))),
  CONSTRAINT named CHECK (boss <> 3),
  CHECK (name <> user())
);
