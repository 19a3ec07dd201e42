"""The pages: each is a script that Streamlit runs when the page is opened."""
