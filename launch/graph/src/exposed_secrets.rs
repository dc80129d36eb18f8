//! Secrets in command lines: `ps` and `docker inspect` show them.

use msight_compose::{Finding, Located, Project, Service};

use crate::graph::{Graph, GraphContext, Node};

/// The flags of `msight store` whose values are secret, with their variables.
const STORE_FLAGS: [(&str, &str); 1] = [("--secret-key", "MSIGHT_STORE_SECRET_KEY")];

/// Warns about each password in the command line of a service. With `msight up`, nodes get theirs by a variable, where
/// there is one.
pub(super) fn check(project: &Project, graph: &Graph, context: &GraphContext, findings: &mut Vec<Finding>) {
    for service in project.active() {
        let node = graph.nodes.iter().find(|node| *node.service == *service.name);
        let words: Vec<&Located<String>> = service.command_line().collect();
        for (at, word) in words.iter().enumerate() {
            let variable = match node {
                Some(node) if has_password(word) => variable_of(node, at),
                None if has_password(word) => None,
                _ => match variable_of_store(&words, at) {
                    Some(variable) => Some(variable.to_owned()),
                    None => continue,
                },
            };
            if !(context.is_on_host && variable.is_some()) {
                findings.push(finding(service, word, variable.as_deref()));
            }
        }
    }
}

fn finding(service: &Service, word: &Located<String>, variable: Option<&str>) -> Finding {
    let text = format!("the command line of `{}` has a password, which `ps` shows", *service.name);
    let help = match variable {
        Some(variable) => format!("set {variable} in `environment` or `env_file` instead"),
        None => "pass the password by a variable or a file, if the program reads it there".to_owned(),
    };
    Finding::warning("exposed-password", word.place.clone(), text).with_help(help)
}

/// Whether an argument is a URL with a user and a password.
fn has_password(word: &str) -> bool {
    let Some((_, rest)) = word.split_once("://") else { return false };
    let user = rest.rsplit_once('@').map(|(user, _)| user);
    user.and_then(|user| user.split_once(':')).is_some_and(|(_, password)| !password.is_empty())
}

/// The variable for the flag whose value is this word of the command line.
fn variable_of(node: &Node, at: usize) -> Option<String> {
    // The program itself is the first word.
    let at = at.checked_sub(1)?;
    let args = node.words();
    let program = node.program.description();
    let flag = program.flags.iter().find(|flag| program.position_of(flag.name(), &args) == Some(at))?;
    let of_redis = (flag.name() == "--redis-url").then(|| "MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD".to_owned());
    flag.env.clone().or(of_redis)
}

/// The variable for a secret of `msight store` that this word is.
fn variable_of_store(words: &[&Located<String>], at: usize) -> Option<&'static str> {
    let is_store = words.first()?.rsplit('/').next()? == "msight" && words.get(1)?.as_str() == "store";
    let before = at.checked_sub(1).and_then(|before| words.get(before)).map(|word| word.as_str());
    let word = words.get(at).filter(|_| is_store)?;
    let flags = STORE_FLAGS.iter().find(|(flag, _)| {
        before == Some(flag) || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
    });
    flags.map(|(_, variable)| *variable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::tutorial::BUILT_IN;
    use msight_compose::{Options, Source};

    /// The lines with findings about passwords, and their helps.
    async fn found(services: &str, is_on_host: bool) -> Vec<(usize, String)> {
        let text = format!("services:\n{services}");
        let source = Source::Text { name: "compose.yaml".into(), text };
        let project = msight_compose::read(&[source], &Options::default()).project;
        let context = GraphContext { is_on_host, ..GraphContext::default() };
        let (_, findings) = crate::read::read(&project, &Catalog::new(BUILT_IN, None), &context).await;
        let exposed = findings.into_iter().filter(|finding| finding.code == "exposed-password");
        let shown = exposed.inspect(|finding| assert!(!finding.to_string().contains("geheim"), "{finding}"));
        let line = |finding: &Finding| finding.place.as_ref().map_or(0, |place| place.line);
        shown.map(|finding| (line(&finding), finding.help.unwrap_or_default().into_string())).collect()
    }

    #[tokio::test]
    async fn a_password_in_a_command_line_is_reported_with_its_variable() {
        let rtsp = "image: x, entrypoint: [msight_launch_rtsp]";
        let services = format!(
            "  a: {{ {rtsp}, command: '-n a -pt t -sn a -u rtsp://u:geheim@c/' }}
  b: {{ {rtsp}, command: '-n b -pt t -sn b --url=rtsp://u:geheim@c/' }}
  c: {{ {rtsp}, command: '-n c -pt t -sn c -u rtsp://c/ --redis-url redis://:geheim@r/0' }}
  d: {{ image: x, command: msight store --access-key k --secret-key geheim }}
  e: {{ image: linuxserver/ffmpeg, command: -i x.mp4 -f rtsp rtsp://u:geheim@r/ }}
  f: {{ {rtsp}, command: '-n f -pt t -sn f', environment: {{ MSIGHT_RTSP_URL: 'rtsp://u:geheim@c/' }} }}
  g: {{ {rtsp}, command: '-n g -pt t -sn g -u rtsp://u@c/' }}
"
        );
        let of_check = found(&services, false).await;
        let lines: Vec<usize> = of_check.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 6], "{of_check:?}");
        for (found, variable) in of_check.iter().zip([
            "MSIGHT_RTSP_URL",
            "MSIGHT_RTSP_URL",
            "MSIGHT_REDIS_MESSAGE_BROKER_PASSWORD",
            "MSIGHT_STORE_SECRET_KEY",
        ]) {
            assert!(found.1.contains(variable), "{found:?}");
        }
        // `msight up` hands over the first four by a variable.
        let of_up: Vec<usize> = found(&services, true).await.iter().map(|(line, _)| *line).collect();
        assert_eq!(of_up, [6]);
    }
}
