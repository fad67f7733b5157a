//! One certificate from an ACME server: order, prove by HTTP-01 that the host's requests come here, finalise, fetch.

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Error as AcmeError, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};

use super::http::Http;
use crate::app::{App, traffic};
use crate::error::{Error, Result};
use crate::store::{self, certificates};

/// PEM.
pub struct Issued {
    pub chain: String,
    pub key: String,
}

/// # Errors
/// `Failed` with what the ACME server said, `Unavailable` if it or the router does not answer.
pub async fn issue(app: &App, host: &str) -> Result<Issued> {
    let account = account(app).await?;
    let names = [Identifier::Dns(host.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(told)?;
    prove(app, &mut order).await?;
    let patience = RetryPolicy::default();
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(AcmeError::Api(_)) => return Err(refusal(&mut order, host).await),
        Err(error) => return Err(told(error)),
    }
    let key = order.finalize().await.map_err(told)?;
    let chain = order.poll_certificate(&patience).await.map_err(told)?;
    Ok(Issued { chain, key })
}

/// Puts the answers into the router before the ACME server is told that it may ask.
async fn prove(app: &App, order: &mut Order) -> Result<()> {
    let mut authorizations = order.authorizations();
    while let Some(found) = authorizations.next().await {
        let mut authorization = found.map_err(told)?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization
            .challenge(ChallengeType::Http01)
            .ok_or_else(|| Error::failed("the ACME server does not offer the challenge HTTP-01"))?;
        app.challenges.put(&challenge.token, challenge.key_authorization().as_str());
        traffic::publish(app).await?;
        challenge.set_ready().await.map_err(told)?;
    }
    Ok(())
}

/// Why an order was not granted: that is kept with its challenges.
async fn refusal(order: &mut Order, host: &str) -> Error {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Error::failed(format!(
                "the ACME server could not check {host}: {problem}; http://{host}/ has to lead to this server's router on port 80"
            ));
        }
    }
    Error::failed(format!("the ACME server refused the order for {host} and did not say why"))
}

/// The account at the configured server: the stored one, or a new one.
async fn account(app: &App) -> Result<Account> {
    let acme = &app.config.acme;
    let directory = &acme.directory;
    let builder = Account::builder_with_http(Box::new(Http::new(&acme.root)?));
    let context = format!("acme_accounts/{directory}");
    if let Some(sealed) = certificates::account(&mut *app.db.read().await?, directory).await? {
        let text = app.vault.open_sealed(&context, &sealed)?;
        let credentials: AccountCredentials = serde_json::from_slice(&text).map_err(Error::internal)?;
        return builder.from_credentials(credentials).await.map_err(told);
    }
    let contact = format!("mailto:{}", acme.email);
    let contact = if acme.email.is_empty() { Vec::new() } else { vec![contact.as_str()] };
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (account, credentials) = builder.create(&new, directory.clone(), None).await.map_err(told)?;
    let text = serde_json::to_vec(&credentials).map_err(Error::internal)?;
    let (sealed, directory) = (app.vault.seal(&context, &text)?, directory.clone());
    app.db
        .write(move |tx| {
            Box::pin(async move { certificates::insert_account(tx, &directory, &sealed, store::now()).await })
        })
        .await?;
    Ok(account)
}

fn told(error: AcmeError) -> Error {
    match error {
        AcmeError::Api(problem) => Error::failed(format!("the ACME server refused: {problem}")),
        AcmeError::Timeout(_) => Error::failed("the ACME server did not decide in time"),
        other => Error::unavailable(format!("the ACME server cannot be asked: {other}")),
    }
}
