//! The description of a program.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::{Deserialize, Serialize};

use crate::argparse::{Line, Options};
use crate::flag::Flag;
use crate::metric::MetricDescription;
use crate::port::{Kind, Port};

/// The environment variable that every node needs: the device's name.
pub const DEVICE_NAME: &str = "MSIGHT_EDGE_DEVICE_NAME";

/// The description of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub struct Description {
    /// Its name.
    pub program: String,
    /// Its version, as `--version` prints it.
    pub version: String,
    /// The class of the node in the registry.
    pub class: String,
    /// Whether it publishes, subscribes, or both.
    pub kind: Kind,
    /// What it does, in one sentence.
    pub summary: String,
    /// The rest of its description in the help.
    pub details: String,
    /// The environment variables that it needs to start.
    pub needs: Vec<String>,
    /// Its flags, in the order of its help.
    pub flags: Vec<Flag>,
    /// The topics it can subscribe to, that of `-st` first.
    pub inputs: Vec<Port>,
    /// The topics it can publish to, that of `-pt` first.
    pub outputs: Vec<Port>,
    /// Its metrics. Empty for an older program, and for one without metrics.
    pub metrics: Vec<MetricDescription>,
}

impl Description {
    /// The `data_type` of the messages of `-st`; `None` for a source, and for a node that reads any type.
    pub fn takes(&self) -> Option<&str> {
        data_type(&self.inputs, Port::SUBSCRIBE)
    }

    /// The `data_type` of the messages of `-pt`; `None` for a sink, and for a node that passes on what it reads.
    pub fn publishes(&self) -> Option<&str> {
        data_type(&self.outputs, Port::PUBLISH)
    }

    /// The metric of this name.
    pub fn metric(&self, name: &str) -> Option<&MetricDescription> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// The value of a flag in a command line that the program accepts, without the program's name. `long` is the flag's
    /// long name (`--bucket-name`). The last value on the command line in any spelling, also abbreviated, takes
    /// precedence over the flag's environment variable, and that over its default.
    pub fn value_of(
        &self,
        long: &str,
        args: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Option<String> {
        let flag = self.flags.iter().find(|flag| flag.name() == long)?;
        let options = Options::of_flags(&self.flags);
        let given = Line::read(&options, args.iter().map(OsString::from)).value(long);
        let variable = || environment.get(flag.env.as_ref()?).cloned();
        given.or_else(variable).or_else(|| flag.default.clone())
    }

    /// The index of the argument that gives the flag with this long name its value, in any spelling.
    pub fn position_of(&self, long: &str, args: &[String]) -> Option<usize> {
        let options = Options::of_flags(&self.flags);
        Line::read(&options, args.iter().map(OsString::from)).position(long)
    }
}

fn data_type<'a>(ports: &'a [Port], flag: &str) -> Option<&'a str> {
    ports.iter().find(|port| port.flag == flag)?.data_type.as_deref()
}

/// The keys of the JSON, in their order. `takes` and `publishes` are older than the lists of ports and metrics;
/// descriptions that have only these two are still accepted.
#[derive(Serialize, Deserialize)]
struct Fields {
    program: String,
    version: String,
    class: String,
    kind: Kind,
    takes: Option<String>,
    publishes: Option<String>,
    summary: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    details: String,
    #[serde(default)]
    needs: Vec<String>,
    flags: Vec<Flag>,
    #[serde(default)]
    inputs: Option<Vec<Port>>,
    #[serde(default)]
    outputs: Option<Vec<Port>>,
    #[serde(default)]
    metrics: Vec<MetricDescription>,
}

impl From<Fields> for Description {
    fn from(fields: Fields) -> Self {
        let Fields { program, version, class, kind, summary, details, needs, flags, metrics, .. } = fields;
        let (takes, publishes) = (fields.takes, fields.publishes);
        let subscribe = || kind.subscribes().then(|| Port::subscribe(takes.as_deref())).into_iter().collect();
        let publish = || kind.publishes().then(|| Port::publish(publishes.as_deref())).into_iter().collect();
        Self {
            program,
            version,
            class,
            kind,
            summary,
            details,
            needs,
            flags,
            inputs: fields.inputs.unwrap_or_else(subscribe),
            outputs: fields.outputs.unwrap_or_else(publish),
            metrics,
        }
    }
}

impl From<Description> for Fields {
    fn from(description: Description) -> Self {
        let (takes, publishes) = (description.takes(), description.publishes());
        let (takes, publishes) = (takes.map(str::to_owned), publishes.map(str::to_owned));
        let Description { program, version, class, kind, summary, details, needs, flags, .. } = description;
        Self {
            program,
            version,
            class,
            kind,
            takes,
            publishes,
            summary,
            details,
            needs,
            flags,
            inputs: Some(description.inputs),
            outputs: Some(description.outputs),
            metrics: description.metrics,
        }
    }
}
