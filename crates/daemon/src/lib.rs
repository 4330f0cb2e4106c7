//! The composition root: settings, wiring and life cycle. It alone knows every other crate, and introduces them.
//!
//! [`Config`] is what the operator has written, [`Running`] a node that runs by it. The adapters are small: `inbound`
//! gives what [`transport`] hears to [`node`], `outbound` carries what the node sends, `operator` answers the control
//! socket.

mod clock;
mod config;
mod console;
mod damaged;
mod decisions;
mod demo;
mod demo_legacy;
mod doorstep;
mod error;
mod export;
mod files;
mod flow;
mod forwarding;
mod gateway;
mod identity;
mod inbound;
mod init;
mod keys;
mod limits;
mod listen;
mod operator;
mod outbound;
mod peers;
mod published;
mod reputation;
mod rules;
mod running;
mod service;
mod slices;
mod source;
mod spf;
mod statements;
mod suggestion;
mod view;

pub use config::{Config, EngineConfig};
pub use damaged::DamagedStore;
pub use demo::{Demo, DemoNode, Layout, Site};
pub use demo_legacy::{LEGACY_DOMAIN, LegacyMail, LegacyServer, send_by_smtp};
pub use doorstep::{
    DOORSTEP_ACCOUNT, Doorstep, DoorstepNews, DoorstepPlan, NodeLocation, OnNews, OnTaken, Sender,
    doorstep_session,
};
pub use error::Error;
pub use export::{Summary, export};
pub use gateway::GatewayAddresses;
pub use gateway::config::{ChecksConfig, DkimConfig, GatewayConfig, MavConfig, MavRuleConfig, OutConfig};
pub use inbound::{peer_session, user_session};
pub use init::{Plan, host_within, init};
pub use keys::key_of;
pub use operator::LocalOperator;
pub use published::{Concern, Published, concerns};
pub use reputation::PolicyServiceConfig;
pub use running::{Running, open_store, serve, system_resolver};
pub use slices::Slices;
pub use source::{StoreSource, supply};
pub use spf::{ExplainedSpf, SpfQuestion, SpfSide, explain_spf};
