"""A true example of each error: a sentence that the service sends with its code, and the fields that it adds.

A test compares each sentence with the source code, because an example that the service never sends misleads clients.
"""

from typing import Any

from app.core.errors import DomainError

DETAILS = {
    "already_clocked_in": "You are already clocked in. Clock out first, or send switch=true.",
    "already_clocked_out": "This entry is already closed. Correct it to change end_time.",
    "api_token_not_found": "There is no API token with this id that you may see.",
    "audit_key_unknown": "The newest audit events were chained with another key (b1946ac92492d234). Set the same "
    "AUDIT_KEY for all servers. If it was changed, add the former AUDIT_KEY, or else SECRET_KEY, to "
    "AUDIT_PREVIOUS_KEYS.",
    "body_too_large": "The request body is limited to 1048576 bytes. Send a smaller one.",
    "bulk_refused": "1 of 3 operations were rejected, so none was applied. See `errors`.",
    "cross_site_request": "This operation is for the page of this service. API clients use POST /auth/login.",
    "csv_required": "The Content-Type is not text/csv. Send the CSV file itself as the body, in UTF-8.",
    "current_password_required": "Your login is older than 5 minutes. Send your password as current_password.",
    "database_unavailable": "The database is unreachable or overloaded. Try again soon.",
    "disk_space_low": "Free disk space is below MIN_FREE_DISK_MB for: database. Free some space.",
    "edit_window_closed": "You can change your own entries for 31 days after their start. Ask your manager or an "
    "admin.",
    "email_taken": "Another user has this e-mail. Choose another one.",
    "enrollment_discarded": "Too many wrong codes. Start again: POST /api/v1/auth/totp.",
    "enrollment_not_started": "You have not started an enrollment. Call POST /api/v1/auth/totp first.",
    "entry_changed": "The entry has changed since you read it. Read it again, then send its current version.",
    "entry_in_future": "start_time and end_time must not be in the future. Enter the time after the work.",
    "entry_locked": "The entry is in a submitted or approved timesheet. Reopen that first.",
    "entry_not_found": "There is no entry with this id that you may see.",
    "entry_overlaps": "The times overlap entry 7, from 2026-03-02T08:00:00Z to 2026-03-02T12:00:00Z. Change them, or "
    "correct that entry first.",
    "entry_still_open": "The entry is still open. Send the end_time at which the work ended, and a reason.",
    "entry_too_early": "The entry starts before 2000-01-01 in Europe/Berlin, so no report could show it. "
    "Change its start.",
    "entry_too_long": "An entry lasts at most 24 hours. Divide it into several entries.",
    "entry_too_short": "end_time must be at least 1 second after start_time. Change one of them.",
    "expiry_out_of_range": "expires_at must be in the future, and not after 2027-03-03T08:00:00Z.",
    "form_required": "The Content-Type is not application/x-www-form-urlencoded. Send the fields as a form.",
    "has_reports": "This user has direct reports. Give them another manager first.",
    "host_not_allowed": "The Host header names another service. Check the host name in the URL.",
    "idempotency_key_reused": "This Idempotency-Key was used for a different request. Use a new key for each new "
    "request.",
    "import_refused": "No user was imported. Errors in the file: 1. Correct them, and import the file again.",
    "insufficient_storage": "The server has no disk space left for the file. Try again later, or tell the operator.",
    "internal_error": "An unexpected error occurred. Try again. If it persists, send the operator the request_id.",
    "invalid_code": "The code is wrong. Send the code that your authenticator app shows now.",
    "invalid_credentials": "The e-mail or the password is wrong, or the account is deactivated.",
    "invalid_cursor": "The cursor is not valid. Send the cursor from the Link header, with the same filters.",
    "invalid_link": "This link is invalid, expired or already used. Ask your admin for a new one.",
    "invalid_otp": "The code in otp is wrong or was already used. Wait for the next code.",
    "invalid_password": "This is not your current password.",
    "invalid_refresh_token": "The refresh token is invalid or expired. Log in again.",
    "json_required": "The Content-Type is not application/json. Send the body as JSON.",
    "last_admin": "This user is the last active admin. Make another user an admin first.",
    "lock_changed": "The lock date has changed since you read it. Read it again, then send its current version.",
    "lock_in_future": "Some users may still work on the day before. Choose 2026-03-01 or an earlier day.",
    "login_limit_reached": "Too many logins failed. Wait, or log in from a network where you logged in before.",
    "mail_not_sent": "The e-mail could not be sent. Try again later, or contact your admin.",
    "manager_cycle": "This manager reports to the user, directly or indirectly. Reassign this manager first.",
    "manager_inactive": "This manager is deactivated. Choose another manager.",
    "manager_invalid": "The user in manager_id is an employee. Change their role first, or choose another manager.",
    "manager_is_self": "A user cannot be their own manager. Choose another manager.",
    "manager_not_found": "There is no user with the id in manager_id.",
    "metrics_token_required": "The metrics token is missing or wrong. Send Authorization: Bearer METRICS_TOKEN.",
    "no_second_factor": "You have no second factor.",
    "not_authenticated": "The access token is invalid or has expired. Log in again.",
    "not_clocked_in": "You are not clocked in. Clock in first.",
    "not_your_entry": "Only the user who clocked in can clock out. Correct the entry instead.",
    "not_your_timesheet": "Only its user can withdraw a timesheet. Reject it instead.",
    "otp_required": "Send the code from your authenticator app, or a recovery code, in the form field otp.",
    "own_account": "This endpoint is for other users. For your own account, use the endpoints of /api/v1/auth.",
    "own_timesheet": "You cannot decide on your own timesheet. Ask your manager or an admin.",
    "password_change_required": "Change your password first: POST /api/v1/auth/password.",
    "password_unchanged": "The new password equals the current one. Choose another password.",
    "period_locked": "The timesheet from 2026-03-01 is approved. Ask your manager to reopen it.",
    "period_reversed": "end_date is before start_date. Swap them.",
    "period_too_long": "The period has more than 400 days. Choose a shorter period.",
    "project_code_taken": "Another project has this code. Choose another code.",
    "project_inactive": "This project is archived. Choose another project_id.",
    "project_name_taken": "Another project has this name. Choose another name.",
    "project_not_found": "There is no project with this id.",
    "reason_required": "A change of times, or of another user's entry, needs a reason. Send a `reason`.",
    "request_in_flight": "The same request may still be in progress. Retry after a second.",
    "request_timeout": "The request body was not received within 20 seconds. Send it faster, or send a smaller one.",
    "role_required": "You need one of these roles: manager, admin. Ask an admin.",
    "route_not_found": "Metrics are off because METRICS_TOKEN is not set. Set it to turn them on.",
    "rule_in_use": "Timesheets exist up to this day. Change rules from 2026-04-01 on.",
    "rule_start_invalid": "A month begins on a 1st, half a month on a 1st or 16th. Choose another first day.",
    "schema_outdated": "The database schema is at no revision. Run: python -m app.cli migrate",
    "scope_required": "Your API token needs the scope entries:write. Create an API token with this scope.",
    "second_factor_exists": "You already have a second factor. Remove it first.",
    "second_factor_locked": "Too many wrong codes were sent for this account. Ask your admin for a password link. A "
    "password that you set through it unlocks your second factor.",
    "second_factor_required": "Your role requires a second factor. Enrol one first: POST /api/v1/auth/totp.",
    "second_factor_unreadable": "The stored secret cannot be decrypted. Log in with a recovery code, and ask your "
    "admin to check TOTP_KEY.",
    "server_clock_skew": "The server's clock is behind the time of your last punch. Retry later, and inform the "
    "operator.",
    "service_busy": "The service is busy. Try again in a second.",
    "session_not_found": "You have no login session with this id. It may have ended.",
    "summary_too_large": "The summary has more than 100,000 rows. Choose fewer groups, users or days.",
    "timesheet_changed": "The timesheet has changed since you read it. Read it again, then send its current version.",
    "timesheet_locked": "Today would be in or before the timesheet from 2026-03-01, which is approved. Reject or "
    "reopen it first.",
    "timesheet_not_found": "No period begins on 2026-03-02. GET /timesheets/me lists yours.",
    "timesheet_not_over": "The period ends on 2026-03-31 in Europe/Berlin. Submit it a minute after that day.",
    "timesheet_not_submittable": "Entries that are open or need review: 1. See `errors`.",
    "timesheet_rule_not_found": "No rule holds from 2026-03-01. GET /admin/timesheet-rules lists them.",
    "timesheet_status_conflict": "The timesheet is approved, but it must be submitted. Read it again.",
    "too_many_api_tokens": "You have 50 API tokens, which is the limit. Revoke one first.",
    "too_many_changes": "Your changes of the last hour have filled 4 MiB of the audit log. Try again in 60 s.",
    "too_many_entries": "The period has more than 20,000 entries. Send a shorter period.",
    "too_many_exports": "You already have 2 running exports. Try again after one has finished.",
    "too_many_logins": "Too many logins are in progress. Try again in a few seconds.",
    "too_many_requests": "You may make 1200 requests a minute. Try again in 1 s.",
    "too_many_rows": "An XLSX sheet has at most 1,048,575 rows. Choose a shorter period, or CSV.",
    "unsupported_content_encoding": "Send the body without Content-Encoding.",
    "user_inactive": "This user is deactivated. Activate the user first.",
    "user_not_found": "There is no user with this id that you may see.",
    "validation_failed": "body.project_id: Field required",
    "weak_password": "The password is too easy to guess. Use several unrelated words.",
}
_TOO_SHORT = {
    "loc": ["body", "operations", 1],
    "message": DETAILS["entry_too_short"],
    "type": "entry_too_short",
}
_ROW = {
    "loc": ["body", 3, "email"],
    "message": "Another user has this e-mail. Choose another one.",
    "type": "email_taken",
}
_OPEN = {
    "loc": ["entry", 7],
    "message": "The entry is open. Clock out, or correct it.",
    "type": "open",
}
EXTENSIONS: dict[str, dict[str, Any]] = {
    "already_clocked_in": {"entry_id": 7},
    "already_clocked_out": {"entry_id": 7},
    "bulk_refused": {"errors": [_TOO_SHORT]},
    "entry_changed": {"version": 2},
    "entry_overlaps": {"entry_id": 7},
    "import_refused": {"errors": [_ROW], "error_count": 1},
    "lock_changed": {"version": 2},
    "period_locked": {"first_day": "2026-03-01", "last_day": "2026-03-31", "timesheet_status": "approved"},
    "rule_in_use": {"first_free_day": "2026-04-01"},
    "timesheet_changed": {"version": 2},
    "timesheet_locked": {"first_day": "2026-03-01", "last_day": "2026-03-31", "timesheet_status": "approved"},
    "timesheet_not_submittable": {"errors": [_OPEN]},
    "timesheet_status_conflict": {"timesheet_status": "approved"},
    "validation_failed": {
        "errors": [{"loc": ["body", "project_id"], "message": "Field required", "type": "missing"}],
    },
}
"""Fields beside those that every error has, by code."""


def example_problem(error_type: type[DomainError], status: int) -> dict[str, Any]:
    """Return an example of the error response. The document sets `instance` to the path of each operation."""
    code = error_type.code
    return {
        "type": f"urn:employee-time-tracking:{code}",
        "title": error_type.title,
        "status": status,
        "detail": DETAILS.get(code, error_type.title),
        "code": code,
        "instance": "/api/v1/time-entries/clock-in",
        "request_id": "6f1c0f6e2b7f4d6a",
        **EXTENSIONS.get(code, {}),
    }
