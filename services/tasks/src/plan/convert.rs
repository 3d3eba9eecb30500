//! Imports on the wire and back.

use contract::tasks::v1 as pb;

use super::ops::{Action, Import, Report, Reported};
use super::{Finding, FindingKind};
use crate::error::Error;
use crate::work_item::convert::id;

impl TryFrom<pb::ImportPlanRequest> for Import {
    type Error = Error;

    fn try_from(request: pb::ImportPlanRequest) -> Result<Self, Error> {
        Ok(Import {
            workspace_id: id("workspace_id", &request.workspace_id)?,
            product_id: id("product_id", &request.product_id)?,
            document: request.document,
            markdown: request.markdown,
            validate_only: request.validate_only,
        })
    }
}

impl From<Report> for pb::ImportPlanResponse {
    fn from(report: Report) -> Self {
        let count = |action| number(report.items.iter().filter(|item| item.action == action).count());
        pb::ImportPlanResponse {
            created_count: count(Action::Created),
            updated_count: count(Action::Updated),
            unchanged_count: count(Action::Unchanged),
            items: report.items.into_iter().map(Into::into).collect(),
            findings: report.findings.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<Reported> for pb::ImportedItem {
    fn from(item: Reported) -> Self {
        let (work_item_id, key) = item.item.map(|(id, key)| (id.to_string(), key)).unwrap_or_default();
        let action = match item.action {
            Action::Created => pb::ImportAction::Created,
            Action::Updated => pb::ImportAction::Updated,
            Action::Unchanged => pb::ImportAction::Unchanged,
        };
        pb::ImportedItem { line: number(item.line), work_item_id, key, title: item.title, depth: number(item.depth), action: action.into() }
    }
}

impl From<Finding> for pb::ImportFinding {
    fn from(finding: Finding) -> Self {
        let kind = match finding.kind {
            FindingKind::TextIgnored => pb::ImportFindingKind::TextIgnored,
            FindingKind::TooDeep => pb::ImportFindingKind::TooDeep,
            FindingKind::DuplicateTitle => pb::ImportFindingKind::DuplicateTitle,
            FindingKind::TitleShortened => pb::ImportFindingKind::TitleShortened,
            FindingKind::MissingFromPlan => pb::ImportFindingKind::MissingFromPlan,
            FindingKind::StateKept => pb::ImportFindingKind::StateKept,
            FindingKind::DescriptionShortened => pb::ImportFindingKind::DescriptionShortened,
        };
        pb::ImportFinding { line: number(finding.line), kind: kind.into(), text: finding.text }
    }
}

/// A count on the wire: a plan has fewer than 2^31 lines.
fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
