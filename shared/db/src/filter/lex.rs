//! Words and signs of a filter, each with its place.

/// One word or sign.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Open,
    Close,
    Minus,
    And,
    Or,
    Not,
    /// One of `=` `!=` `<` `<=` `>` `>=` `:`.
    Operator(&'static str),
    /// A word without quotes: a field's name or a value.
    Word(String),
    /// A text in quotes.
    Quoted(String),
}

/// What is wrong, and where: in characters from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) position: usize,
    pub(super) problem: &'static str,
}

/// Longer operators first: the first that fits is taken.
const OPERATORS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", ":"];

/// Splits `text`. What stands where a value may stand is read as one word up to a blank or parenthesis, because times hold `:` and `-`.
pub(super) fn tokens(text: &str) -> Result<Vec<(usize, Token)>, Fault> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens: Vec<(usize, Token)> = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let position = at + 1;
        let character = characters[at];
        if character.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let value_follows = matches!(tokens.last(), Some((_, Token::Operator(_))));
        let token = match character {
            '(' => sign(&mut at, Token::Open),
            ')' => sign(&mut at, Token::Close),
            '"' | '\'' => quoted(&characters, &mut at)?,
            _ if value_follows => word(&characters, &mut at, |c| !c.is_ascii_whitespace() && !matches!(c, '(' | ')' | '"' | '\'')),
            '-' => sign(&mut at, Token::Minus),
            _ => match operator(&characters[at..]) {
                Some(operator) => {
                    at += operator.len();
                    Token::Operator(operator)
                }
                None if is_name(character) => keyword(word(&characters, &mut at, is_name)),
                None => return Err(Fault { position, problem: "this character has no meaning here" }),
            },
        };
        tokens.push((position, token));
    }
    Ok(tokens)
}

fn sign(at: &mut usize, token: Token) -> Token {
    *at += 1;
    token
}

fn operator(rest: &[char]) -> Option<&'static str> {
    OPERATORS.into_iter().find(|operator| operator.chars().eq(rest.iter().copied().take(operator.len())))
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.')
}

fn word(characters: &[char], at: &mut usize, belongs: impl Fn(char) -> bool) -> Token {
    let start = *at;
    while *at < characters.len() && belongs(characters[*at]) {
        *at += 1;
    }
    Token::Word(characters[start..*at].iter().collect())
}

fn keyword(token: Token) -> Token {
    match token {
        Token::Word(word) if word == "AND" => Token::And,
        Token::Word(word) if word == "OR" => Token::Or,
        Token::Word(word) if word == "NOT" => Token::Not,
        other => other,
    }
}

/// A text in single or double quotes; `\` takes the next character as it is.
fn quoted(characters: &[char], at: &mut usize) -> Result<Token, Fault> {
    let start = *at;
    let quote = characters[start];
    let mut text = String::new();
    let mut place = start + 1;
    while let Some(&character) = characters.get(place) {
        place += 1;
        if character == quote {
            *at = place;
            return Ok(Token::Quoted(text));
        }
        if character == '\\' {
            let Some(&escaped) = characters.get(place) else { break };
            text.push(escaped);
            place += 1;
        } else {
            text.push(character);
        }
    }
    Err(Fault { position: start + 1, problem: "the quotation has no end" })
}
