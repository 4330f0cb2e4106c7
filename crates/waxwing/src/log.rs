//! The log: what the parts of the program have to say to the operator, on standard error.

use std::env::VarError;

use tracing_subscriber::EnvFilter;

/// Who may say how much where nobody asks for more. What the DNS library warns of is retried, or told in our own words.
const FILTER: &str = "warn,hickory_net=error,hickory_proto=error,hickory_resolver=error,hickory_server=error";
/// The variable that asks for more or less.
const VARIABLE: &str = "WAXWING_LOG";

/// Warnings to standard error; `WAXWING_LOG=debug` or `WAXWING_LOG=warn,waxwing_transport=trace` shows more.
pub(crate) fn to_standard_error(colours: bool) {
    let (filter, wrong) = filter(std::env::var(VARIABLE));
    if let Some(wrong) = wrong {
        crate::say(&wrong);
    }
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr)
        // Where standard error is closed there is nobody to tell, and that is no reason to end.
        .log_internal_errors(false)
        .init();
}

/// The filter that is asked for; where it is not one, the usual one, and what to say about that.
fn filter(asked: Result<String, VarError>) -> (EnvFilter, Option<String>) {
    let usual = || EnvFilter::new(FILTER);
    let wrong = |why: &str| {
        Some(format!(
            "{VARIABLE} is not a filter such as `debug` or `warn,waxwing_transport=trace`, and does not count: {why}"
        ))
    };
    match asked {
        Ok(text) => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, None),
            Err(error) => (usual(), wrong(&error.to_string())),
        },
        Err(VarError::NotPresent) => (usual(), None),
        Err(error) => (usual(), wrong(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_told() {
        let check = |text: &str, good: bool| {
            let (_, wrong) = filter(Ok(text.to_owned()));
            assert_eq!(wrong.is_none(), good, "{text}: {wrong:?}");
        };
        check("debug", true);
        check("warn,waxwing_transport=trace", true);
        check("waxwing_node=loud", false);
        check("warn,,=", false);
        assert!(filter(Err(VarError::NotPresent)).1.is_none());
    }
}
