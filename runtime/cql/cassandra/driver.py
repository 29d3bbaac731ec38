"""The names of cassandra-driver that the engine uses. The driver has no types: here, and only here, all are Any."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def _module(name: str) -> Any:
    return import_module(name)


_root = _module("cassandra")
_auth = _module("cassandra.auth")
_cluster = _module("cassandra.cluster")
_connection = _module("cassandra.connection")
_policies = _module("cassandra.policies")
_protocol = _module("cassandra.protocol")
_query = _module("cassandra.query")

# Clusters
Cluster: Any = _cluster.Cluster
DefaultConnection: Any = _cluster.DefaultConnection
ExecutionProfile: Any = _cluster.ExecutionProfile
EXEC_PROFILE_DEFAULT: Any = _cluster.EXEC_PROFILE_DEFAULT
PlainTextAuthProvider: Any = _auth.PlainTextAuthProvider
locally_supported_compressions: Any = _connection.locally_supported_compressions

# Policies
ConstantSpeculativeExecutionPolicy: Any = _policies.ConstantSpeculativeExecutionPolicy
DCAwareRoundRobinPolicy: Any = _policies.DCAwareRoundRobinPolicy
ExponentialReconnectionPolicy: Any = _policies.ExponentialReconnectionPolicy
RetryPolicy: Any = _policies.RetryPolicy
TokenAwarePolicy: Any = _policies.TokenAwarePolicy

# Statements
ConsistencyLevel: Any = _root.ConsistencyLevel
BatchStatement: Any = _query.BatchStatement
BatchType: Any = _query.BatchType
BoundStatement: Any = _query.BoundStatement
SimpleStatement: Any = _query.SimpleStatement
UNSET_VALUE: Any = _query.UNSET_VALUE

# Messages
ExecuteMessage: Any = _protocol.ExecuteMessage
ProtocolException: Any = _protocol.ProtocolException
ProtocolHandler: Any = _protocol.ProtocolHandler
ResultMessage: Any = _protocol.ResultMessage


def _error(module: Any, name: str) -> type[Exception]:
    return getattr(module, name)


# Failures, some of which the driver raises as they came from the server
AlreadyExists = _error(_root, "AlreadyExists")
AuthenticationFailed = _error(_root, "AuthenticationFailed")
BadCredentials = _error(_protocol, "BadCredentials")
ConnectionBusy = _error(_connection, "ConnectionBusy")
ConnectionException = _error(_connection, "ConnectionException")
ConnectionShutdown = _error(_connection, "ConnectionShutdown")
DriverException = _error(_root, "DriverException")
ErrorMessage = _error(_protocol, "ErrorMessage")
InvalidRequest = _error(_root, "InvalidRequest")
IsBootstrapping = _error(_protocol, "IsBootstrappingErrorMessage")
NoHostAvailable = _error(_cluster, "NoHostAvailable")
OperationTimedOut = _error(_root, "OperationTimedOut")
Overloaded = _error(_protocol, "OverloadedErrorMessage")
ReadFailure = _error(_root, "ReadFailure")
ReadTimeout = _error(_root, "ReadTimeout")
SyntaxException = _error(_protocol, "SyntaxException")
Unauthorized = _error(_root, "Unauthorized")
Unavailable = _error(_root, "Unavailable")
UnresolvableContactPoints = _error(_root, "UnresolvableContactPoints")
WriteFailure = _error(_root, "WriteFailure")
WriteTimeout = _error(_root, "WriteTimeout")
