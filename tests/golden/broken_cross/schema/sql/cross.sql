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

-- sun: cache ttl=1h lists=nothing,stock_by_code,stock_by_shelf
CREATE TABLE stock (
  stock_id BIGINT NOT NULL,
  code     BIGINT NOT NULL,
  shelf    BIGINT NOT NULL,
  PRIMARY KEY (stock_id),
  UNIQUE KEY stock_by_code (code),
  KEY stock_by_shelf (shelf, stock_id)
);

CREATE TABLE message (
  `Message` INT NOT NULL,
  PRIMARY KEY (`Message`)
);
