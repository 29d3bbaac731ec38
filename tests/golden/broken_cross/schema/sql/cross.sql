-- Errors that only the whole schema shows.

CREATE TABLE post (
  post_id   BIGINT NOT NULL,
  post_type TINYINT NOT NULL,  -- sun: enum=shop.v1.NoSuchEnum
  `3p%`     INT NOT NULL,
  `3p?`     INT NOT NULL,
  PRIMARY KEY (post_id),
  KEY by_type (post_type, post_id),
  KEY post_by_type (post_type, post_id)
);

CREATE TABLE post_dao (
  id BIGINT NOT NULL,
  PRIMARY KEY (id)
);
