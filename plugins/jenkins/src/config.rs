//! The `config.xml` of jobs and folders. Every text goes through [`escaped`], so none can be markup.

use windlass_sdk::Failure;
use windlass_sdk::provider::{JobSpec, Parameter};

use crate::settings::{PipelineFrom, Settings};

/// The parameter that carries the key of an attempt, so that a second attempt finds the build of the first one.
pub const KEY: &str = "WINDLASS_KEY";

/// Of a folder (plugin `cloudbees-folder`); what is left out has its default.
pub const FOLDER: &str = "<?xml version='1.0' encoding='UTF-8'?>\n\
    <com.cloudbees.hudson.plugins.folder.Folder>\n  <description/>\n  <properties/>\n\
    </com.cloudbees.hudson.plugins.folder.Folder>\n";

/// Of a pipeline job (plugin `workflow-job`).
pub fn job(settings: &Settings, spec: &JobSpec, disabled: bool) -> Result<String, Failure> {
    let definition = match settings.pipeline_from {
        PipelineFrom::Job => inline(spec)?,
        PipelineFrom::Repository => from_repository(settings, spec)?,
    };
    let parameters: String =
        parameters(settings, spec)?.iter().map(parameter).collect::<Result<_, Failure>>()?;
    let description = escaped("the description", &spec.description)?;
    Ok(format!(
        "<?xml version='1.0' encoding='UTF-8'?>
<flow-definition>
  <actions/>
  <description>{description}</description>
  <keepDependencies>false</keepDependencies>
  <properties>
    <hudson.model.ParametersDefinitionProperty>
      <parameterDefinitions>{parameters}
      </parameterDefinitions>
    </hudson.model.ParametersDefinitionProperty>
  </properties>
{definition}
  <triggers/>
  <disabled>{disabled}</disabled>
</flow-definition>
"
    ))
}

/// The script stands in the job, and runs in the sandbox.
fn inline(spec: &JobSpec) -> Result<String, Failure> {
    let file = match spec.pipeline.as_slice() {
        [file] => file,
        [] => return Err(invalid("The job needs a Jenkinsfile, and none was given.")),
        files => {
            let said = format!(
                "A job holds one Jenkinsfile, and {} files were given. Please commit them, and set `pipeline_from` to \
                 `repository`.",
                files.len()
            );
            return Err(invalid(said));
        }
    };
    let script = escaped("the Jenkinsfile", &file.content)?;
    Ok(format!(
        "  <definition class=\"org.jenkinsci.plugins.workflow.cps.CpsFlowDefinition\">
    <script>{script}</script>
    <sandbox>true</sandbox>
  </definition>"
    ))
}

/// Jenkins reads the file from the branch that the build is for. It has to check out the whole repository for that: a
/// lightweight one knows no parameters.
fn from_repository(settings: &Settings, spec: &JobSpec) -> Result<String, Failure> {
    let path = spec.pipeline.first().map_or("Jenkinsfile", |file| file.path.as_str());
    let is_inside = !path.is_empty() && path.split('/').all(|name| !matches!(name, "" | "." | ".."));
    if !is_inside {
        return Err(invalid(format!("The Jenkinsfile's path `{path}` does not lie in the repository.")));
    }
    if !is_fetchable(&spec.repository_url) {
        let said = format!(
            "`{}` is no address that Jenkins should fetch from: it has to be https://, http://, ssh:// or user@host:path.",
            spec.repository_url
        );
        return Err(invalid(said));
    }
    let (path, url) = (escaped("the path", path)?, escaped("the repository's URL", &spec.repository_url)?);
    let credentials = match settings.repository_credentials.as_str() {
        "" => String::new(),
        id => format!("\n          <credentialsId>{}</credentialsId>", escaped("the credentials' id", id)?),
    };
    let branch = escaped("the parameter's name", &settings.ref_parameter)?;
    Ok(format!(
        "  <definition class=\"org.jenkinsci.plugins.workflow.cps.CpsScmFlowDefinition\">
    <scm class=\"hudson.plugins.git.GitSCM\">
      <configVersion>2</configVersion>
      <userRemoteConfigs>
        <hudson.plugins.git.UserRemoteConfig>
          <url>{url}</url>{credentials}
        </hudson.plugins.git.UserRemoteConfig>
      </userRemoteConfigs>
      <branches>
        <hudson.plugins.git.BranchSpec>
          <name>${{{branch}}}</name>
        </hudson.plugins.git.BranchSpec>
      </branches>
      <doGenerateSubmoduleConfigurations>false</doGenerateSubmoduleConfigurations>
    </scm>
    <scriptPath>{path}</scriptPath>
    <lightweight>false</lightweight>
  </definition>"
    ))
}

/// git runs a program for an address such as `ext::…`, and takes one that begins with `-` for an option.
fn is_fetchable(url: &str) -> bool {
    let has_scheme = ["https://", "http://", "ssh://"].iter().any(|scheme| url.starts_with(scheme));
    let is_scp = || {
        url.split_once(':').is_some_and(|(host, path)| {
            host.contains('@') && !host.starts_with('-') && !host.contains('/') && !path.starts_with(':')
        })
    };
    has_scheme || is_scp()
}

/// Those that were asked for and our own: the key, and the branch where a build can choose one.
fn parameters(settings: &Settings, spec: &JobSpec) -> Result<Vec<Parameter>, Failure> {
    let mut all = spec.parameters.clone();
    for (at, parameter) in all.iter().enumerate() {
        if parameter.name.trim().is_empty() || all[..at].iter().any(|other| other.name == parameter.name) {
            return Err(invalid(format!("The parameter `{}` has no name, or occurs twice.", parameter.name)));
        }
    }
    // A script that does not look at the branch would build another one than was asked for, and say nothing.
    let chooses = settings.pipeline_from == PipelineFrom::Repository
        || spec.pipeline.iter().any(|file| file.content.contains(&settings.ref_parameter));
    let own = |name: &str, default: &str, description: &str| Parameter {
        name: name.to_owned(),
        default: default.to_owned(),
        description: description.to_owned(),
    };
    if chooses {
        all.push(own(&settings.ref_parameter, &spec.branch, "Branch or tag to build"));
    }
    all.push(own(KEY, "", "Set by Windlass, so that no build is started twice"));
    let mut seen: Vec<String> = Vec::new();
    all.retain(|parameter| {
        let is_new = !seen.contains(&parameter.name);
        seen.push(parameter.name.clone());
        is_new
    });
    Ok(all)
}

fn parameter(parameter: &Parameter) -> Result<String, Failure> {
    let name = escaped("a parameter's name", &parameter.name)?;
    let default = escaped("a parameter's default", &parameter.default)?;
    let description = escaped("a parameter's description", &parameter.description)?;
    Ok(format!(
        "
        <hudson.model.StringParameterDefinition>
          <name>{name}</name>
          <description>{description}</description>
          <defaultValue>{default}</defaultValue>
          <trim>false</trim>
        </hudson.model.StringParameterDefinition>"
    ))
}

/// Text that is only text in XML 1.0: markup is escaped, and so is `\r`, which a parser would turn into `\n`. What the
/// language has no way to write (section 2.2: most control characters) is refused.
fn escaped(what: &str, text: &str) -> Result<String, Failure> {
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&apos;"),
            '\r' => safe.push_str("&#13;"),
            '\t' | '\n' | ' '..='\u{FFFD}' | '\u{10000}'.. => safe.push(character),
            odd => {
                let said = format!(
                    "XML cannot hold the character U+{:04X} in {what}. Please remove it.",
                    u32::from(odd)
                );
                return Err(invalid(said));
            }
        }
    }
    Ok(safe)
}

pub fn invalid(said: impl Into<String>) -> Failure {
    Failure::permanent("invalid-job", said)
}
