-- Every statement below has errors, and all of them are found in one run.

CREATE TABLE one (
  id   BIGINT NOT NULL,
  id   INT NOT NULL,
  what GEOMETRYISH NOT NULL,
  PRIMARY KEY (id),
  KEY one_by_nothing (nothing)
);

CREATE TABLE two (
  id BIGINT NOT NULL
  name TEXT,
  PRIMARY KEY (id)
);

-- sun: cashe ttl=6h
CREATE TABLE three (
  id BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE one (
  id BIGINT NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE four LIKE one;
