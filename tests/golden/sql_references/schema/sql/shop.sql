-- Foreign keys of every shape, their loaders, and what cascades change.

CREATE TABLE customer (
  customer_id BIGINT NOT NULL AUTO_INCREMENT,
  email       VARCHAR(100) NOT NULL,
  nick        VARCHAR(20) DEFAULT NULL,
  invited_by  BIGINT REFERENCES customer (customer_id) ON DELETE SET NULL,
  PRIMARY KEY (customer_id),
  UNIQUE KEY customer_by_email (email),
  UNIQUE KEY customer_by_nick (nick)
) COMMENT='Refers to itself.';

CREATE TABLE product (
  maker VARCHAR(20) NOT NULL,
  code  INT NOT NULL,
  best  BIGINT DEFAULT NULL,
  PRIMARY KEY (maker, code),
  CONSTRAINT product_best FOREIGN KEY (best) REFERENCES purchase (purchase_id) ON DELETE SET NULL
) COMMENT='Refers to a table that refers to it.';

CREATE TABLE purchase (
  purchase_id BIGINT NOT NULL,
  buyer_id    BIGINT NOT NULL,
  payer_id    BIGINT DEFAULT NULL,
  maker       VARCHAR(20) NOT NULL,
  code        INT NOT NULL,
  made_ms     BIGINT NOT NULL,
  PRIMARY KEY (purchase_id),
  KEY purchase_by_buyer (buyer_id, made_ms),
  CONSTRAINT purchase_buyer FOREIGN KEY (buyer_id) REFERENCES customer (customer_id) ON DELETE CASCADE,
  CONSTRAINT purchase_payer FOREIGN KEY (payer_id) REFERENCES customer (customer_id),
  CONSTRAINT purchase_again FOREIGN KEY (payer_id) REFERENCES customer (customer_id),
  CONSTRAINT purchase_product FOREIGN KEY (maker, code) REFERENCES product (maker, code) ON UPDATE CASCADE
) COMMENT='Two keys to one table, one of them said twice, and one of two columns.';

CREATE TABLE newsletter (
  id    BIGINT NOT NULL,
  email VARCHAR(100) NOT NULL,
  nick  VARCHAR(20) DEFAULT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY (id) REFERENCES customer (customer_id) ON DELETE CASCADE,
  FOREIGN KEY (email) REFERENCES customer (email) ON UPDATE CASCADE,
  FOREIGN KEY (nick) REFERENCES customer (nick)
) COMMENT='Its primary key refers, and two of its columns refer to unique keys.';
