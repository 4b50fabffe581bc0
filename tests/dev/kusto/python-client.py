"""What azure-kusto-data of Debian reads from the endpoint named as argument: one JSON document on stdout."""

import gzip
import io
import json
import sys
import urllib.request

from azure.kusto.data import ClientRequestProperties, KustoClient, KustoConnectionStringBuilder
from azure.kusto.data.data_format import DataFormat
from azure.kusto.data.exceptions import KustoApiError, KustoServiceError, KustoThrottlingError

endpoint, token = sys.argv[1], sys.argv[2]
client = KustoClient(KustoConnectionStringBuilder.with_aad_application_token_authentication(endpoint, token))
client.set_http_retries(0)


def tell_error(work):
    """Class, HTTP status, code and permanence of what `work` raises."""
    try:
        work()
    except KustoThrottlingError:
        return ["KustoThrottlingError"]
    except KustoApiError as error:
        return ["KustoApiError", error.http_response.status_code, error.error.code, error.error.permanent]
    except KustoServiceError as error:
        return ["KustoServiceError", error.http_response.status_code]
    return None


def stream(table, data, data_format, mapping=None):
    # The client says gzip and leaves the compression to its caller.
    body = io.BytesIO(gzip.compress(data))
    client.execute_streaming_ingest("local", table, body, data_format, mapping_name=mapping)


def throttle():
    fault = json.dumps({"kind": "query", "action": "status", "status": 429}).encode()
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/-/control/faults/requests", fault)).read()
    client.execute("local", "print 1")


client.execute("local", ".create table Py (b:bool, i:int, l:long, r:real, d:decimal, t:datetime, s:timespan, g:guid, o:dynamic, x:string)")
client.execute("local", ".create table Closed (a:long)")
client.execute("local", ".alter table Py policy streamingingestion enable")
client.execute(
    "local",
    """.create table Py ingestion json mapping 'm' '[{"Column":"l","Properties":{"Path":"$.l"}}]'""",
)
row = 'true,1,9007199254740993,1.5,1.25,2024-01-02T03:04:05.1234567Z,1.02:03:04.5,11111111-2222-3333-4444-555555555555,"{""k"":[1]}",ü\n'
stream("Py", row.encode(), DataFormat.CSV)
stream("Py", b'{"l":2}\n', DataFormat.JSON, "m")

typed = client.execute("local", "Py | order by l desc").primary_results[0]
first, second = typed.rows[0], typed.rows[1]
streamed = client.execute_streaming_query("local", "Py | project l | order by l asc")
counts = [[list(row) for row in table] for table in streamed.iter_primary_results()]
properties = ClientRequestProperties()
properties.client_request_id = "PY.test;1"
version = client.execute("local", ".show version", properties).primary_results[0]

print(
    json.dumps(
        {
            "types": [column.column_type for column in typed.columns],
            "raw": typed.raw_rows[0],
            "values": [str(first[index]) for index in range(len(typed.columns))],
            "classes": [type(first[index]).__name__ for index in range(len(typed.columns))],
            "nulls": [second[index] for index in range(len(typed.columns))],
            "streamed": counts,
            "version": [column.column_name for column in version.columns],
            "mgmt": client.execute("local", ".show tables").primary_results[0].to_dict()["data"],
            "errors": {
                "semantic": tell_error(lambda: client.execute("local", "Py | where nope == 1")),
                "table": tell_error(lambda: client.execute("local", ".show table Nope details")),
                "noMapping": tell_error(lambda: stream("Py", b"{}", DataFormat.JSON)),
                "tooLarge": tell_error(lambda: stream("Py", b"1" * (4 * 1024 * 1024 + 1), DataFormat.CSV)),
                "policy": tell_error(lambda: stream("Closed", b"1", DataFormat.CSV)),
                "throttled": tell_error(throttle),
                "token": tell_error(
                    lambda: KustoClient(
                        KustoConnectionStringBuilder.with_aad_application_token_authentication(endpoint, "wrong")
                    ).execute("local", "print 1")
                ),
            },
        }
    )
)
client.close()
