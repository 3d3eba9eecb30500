//! Tables for eyes: columns as wide as their widest cell.

/// Lays `rows` out below `heads`, two spaces between columns, without trailing blanks.
pub(crate) fn render<const N: usize>(heads: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = heads.map(|head| head.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let mut text = line(heads.to_vec());
    for row in rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["identity".into(), "127.0.0.1:7101".into()], ["tasks".into(), "127.0.0.1:7103".into()]];
        let shown = super::render(["service", "address"], &rows);
        assert_eq!(shown, "service   address\nidentity  127.0.0.1:7101\ntasks     127.0.0.1:7103\n");
    }
}
