//! The operator's questions and answers: types, and a client and a server over a local socket.
