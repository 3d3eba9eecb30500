//! `muster import`: a Markdown plan becomes work items, and what came of each line is shown.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use contract::tasks::v1::{
    ImportAction, ImportFindingKind, ImportPlanRequest, ImportPlanResponse, work_item_service_client::WorkItemServiceClient,
};

use crate::{
    client::{Client, Credentials, Target, json, refused},
    output::Output,
    table,
};

/// What is imported, and where to.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    credentials: Credentials,
    /// The plan: a list of checkboxes in Markdown.
    file: PathBuf,
    /// The workspace: its id or slug.
    #[arg(long)]
    workspace: String,
    /// The product that numbers the items: its id or key.
    #[arg(long)]
    product: String,
    /// What the plan is called, the file's name unless said; importing the same name again updates.
    #[arg(long)]
    document: Option<String>,
    /// Report what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// Imports the plan and prints what came of it.
///
/// # Errors
/// The file can't be read; no such workspace or product; `PLAN_EMPTY`, `PLAN_TOO_LARGE` and what else ImportPlan answers.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let markdown = std::fs::read_to_string(&arguments.file).with_context(|| arguments.file.display().to_string())?;
    let named = || arguments.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let document = arguments.document.clone().or_else(named).context("the plan needs a name: give one with --document")?;
    let token = arguments.credentials.token()?;
    let client = Client::new(arguments.target.channel().await?, token);
    let workspace_id = client.workspace(&arguments.workspace).await?.workspace_id;
    let product_id = client.product(&workspace_id, &arguments.product).await?.product_id;
    let size_bytes = markdown.len();
    let request =
        ImportPlanRequest { workspace_id, product_id, document, markdown, validate_only: arguments.dry_run, request_id: String::new() };
    let what = format!("importing {}, {} KiB", arguments.file.display(), size_bytes.div_ceil(1024));
    let mut items = WorkItemServiceClient::new(client.channel());
    let answer =
        arguments.output.progress().during(&what, items.import_plan(client.request(request)?)).await.map_err(refused)?.into_inner();
    arguments.output.answer(&json(&answer)?, || shown(&answer, arguments.dry_run))
}

/// The report: each checkbox below its parent, what was noticed, and the counts.
pub(crate) fn shown(answer: &ImportPlanResponse, dry_run: bool) -> String {
    let items: Vec<[String; 4]> = answer
        .items
        .iter()
        .map(|item| {
            let depth = usize::try_from(item.depth - 1).unwrap_or_default();
            let action = match item.action() {
                ImportAction::Created => "created",
                ImportAction::Updated => "updated",
                ImportAction::Unchanged | ImportAction::Unspecified => "",
            };
            [item.line.to_string(), item.key.clone(), action.to_owned(), format!("{}{}", "  ".repeat(depth), item.title)]
        })
        .collect();
    let mut text = table::render(["line", "key", "done", "title"], &items);
    if !answer.findings.is_empty() {
        let findings: Vec<[String; 3]> = answer
            .findings
            .iter()
            .map(|finding| [finding.line.to_string(), noticed(finding.kind()).to_owned(), finding.text.clone()])
            .collect();
        text.push_str(&format!("\n{}", table::render(["line", "noticed", "text"], &findings)));
    }
    let would = if dry_run { "would be " } else { "" };
    let ImportPlanResponse { created_count, updated_count, unchanged_count, .. } = answer;
    text.push_str(&format!("\n{created_count} {would}created, {updated_count} {would}updated, {unchanged_count} unchanged"));
    text
}

fn noticed(kind: ImportFindingKind) -> &'static str {
    match kind {
        ImportFindingKind::TextIgnored => "no checkbox, left in the document",
        ImportFindingKind::TooDeep => "nested too deep, imported at depth 8",
        ImportFindingKind::DuplicateTitle => "the same title again, told apart by order",
        ImportFindingKind::TitleShortened => "the title was too long, its rest is in the description",
        ImportFindingKind::MissingFromPlan => "no longer in the plan, left as it is",
        ImportFindingKind::StateKept => "its item can't go to that state, left there",
        ImportFindingKind::DescriptionShortened => "the description was too long, its rest stays in the document",
        ImportFindingKind::Unspecified => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::tasks::v1::{ImportFinding, ImportedItem};

    #[test]
    fn a_report_shows_items_below_their_parents_then_what_was_noticed_then_counts() {
        let item = |line, key: &str, depth, action: ImportAction| ImportedItem {
            line,
            key: key.to_owned(),
            title: format!("item {line}"),
            depth,
            action: action.into(),
            ..ImportedItem::default()
        };
        let answer = ImportPlanResponse {
            created_count: 1,
            unchanged_count: 1,
            items: vec![item(3, "MUST-1", 1, ImportAction::Unchanged), item(4, "", 2, ImportAction::Created)],
            findings: vec![ImportFinding { line: 1, kind: ImportFindingKind::TextIgnored.into(), text: "Plan".into() }],
            ..ImportPlanResponse::default()
        };
        let expected = "line  key     done     title\n3     MUST-1           item 3\n4             created    item 4\n\nline  noticed                            text\n1     no checkbox, left in the document  Plan\n\n1 would be created, 0 would be updated, 1 unchanged";
        assert_eq!(shown(&answer, true), expected);
    }
}
