//! Files of a site that are served as they are.

use windlass_sdk::Failure;

use crate::detect::Project;
use crate::dockerfile::NOBODY;

/// Where a site's first page is, by what is looked for first.
pub const PAGES: [&str; 5] =
    ["index.html", "public/index.html", "dist/index.html", "site/index.html", "www/index.html"];
const IMAGE: &str = "busybox:stable";

pub fn dockerfile(project: &Project<'_>) -> Result<String, Failure> {
    let page = project.first(&PAGES).ok_or_else(|| {
        project
            .cannot("no-page", &format!("there is none of {}, which a site begins with.", PAGES.join(", ")))
    })?;
    let folder = page.strip_suffix("index.html").unwrap_or_default().trim_end_matches('/');
    let folder = if folder.is_empty() { "." } else { folder };
    Ok(serve(project, "", &format!("COPY {folder} /www")))
}

/// The last stage: a small web server for what is copied to /www.
pub fn serve(project: &Project<'_>, before: &str, copy: &str) -> String {
    let image = project.base("static", IMAGE);
    format!(
        "{before}FROM {image}\n{copy}\nUSER {NOBODY}\nEXPOSE 8080\n\
         CMD [\"httpd\",\"-f\",\"-p\",\"8080\",\"-h\",\"/www\"]\n"
    )
}
